import Glibc

/// A program that runs to its end, and what it wrote.
public struct Child: Sendable {
  /// The exit code, or minus the number of the signal that ended it.
  public let status: Int32
  /// What it wrote to its standard output.
  public let output: String
  /// What it wrote to its standard error stream.
  public let errors: String

  /// Why a program cannot be had.
  public struct Failure: Error, CustomStringConvertible {
    /// In words.
    public let description: String
  }

  /// The path of a release binary, which a test asks for by name.
  ///
  /// - Throws: what to do so that it is there.
  public static func releaseBinary(_ name: String) throws -> String {
    let hint = "run `make test`, which builds the release binaries and sets FD_BIN_DIR"
    guard let folder = getenv("FD_BIN_DIR") else {
      throw Failure(description: "FD_BIN_DIR is not set: \(hint)")
    }
    let path = String(cString: folder) + "/" + name
    guard access(path, X_OK) == 0 else {
      throw Failure(description: "\(path) does not exist: \(hint)")
    }
    return path
  }

  /// Runs a program, found by PATH if its name has no slash, and waits for its end.
  ///
  /// The child opens the files that take its output, and closes whatever it inherited: other tests
  /// in this process count descriptors and wait for ends of files, so no pipe and no copy of theirs
  /// may exist meanwhile. Its environment is empty, which gives it the C locale.
  ///
  /// - Parameters:
  ///   - arguments: the program and what it is given.
  ///   - deadline: after which it is killed.
  public static func run(
    _ arguments: [String], within deadline: Duration = .seconds(120)
  ) async throws -> Child {
    let paths = try (0..<2).map { _ in try temporaryPath() }
    defer { for path in paths { unlink(path) } }
    let child = try spawn(arguments, output: paths[0], errors: paths[1])
    var status: Int32 = 0
    let hasEnded = await eventually(within: deadline) { waitpid(child, &status, WNOHANG) == child }
    if !hasEnded {
      kill(child, SIGKILL)
      waitpid(child, &status, 0)
    }
    return Child(
      status: status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F),
      output: contents(of: paths[0]), errors: contents(of: paths[1]))
  }

  private static func spawn(
    _ arguments: [String], output: String, errors: String
  ) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (descriptor, path) in [(STDOUT_FILENO, output), (STDERR_FILENO, errors)] {
      posix_spawn_file_actions_addopen(&actions, descriptor, path, O_WRONLY, 0)
    }
    for descriptor in STDERR_FILENO + 1..<min(getdtablesize(), 4096) {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    let argv = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var child = pid_t()
    let refusal = posix_spawnp(&child, arguments[0], &actions, nil, argv, [nil])
    guard refusal == 0 else {
      throw Failure(
        description: "cannot run \(arguments[0]): \(String(cString: strerror(refusal)))")
    }
    return child
  }

  /// Of a new, empty file.
  private static func temporaryPath() throws -> String {
    var path = Array("/tmp/fd-child-XXXXXX".utf8CString)
    let fd = mkstemp(&path)
    guard fd >= 0 else { throw Failure(description: "no temporary file: errno \(errno)") }
    close(fd)
    return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func contents(of path: String) -> String {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return "" }
    defer { close(fd) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(fd, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }
}

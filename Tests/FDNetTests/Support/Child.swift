import Glibc
import SystemPackage
import Testing

/// A release binary of this package as a process of its own, spoken to line by line.
final class Child {
  private let pid: pid_t
  private let input: Int32
  private let output: Int32
  private var isOver = false

  /// - Parameter name: of an executable in FD_BIN_DIR.
  init(_ name: String, _ arguments: [String]) throws {
    let folder = try #require(
      getenv("FD_BIN_DIR").map { String(cString: $0) },
      "FD_BIN_DIR is not set: run `make test`, which builds the release binaries and sets it")
    let path = folder + "/" + name
    let (theirInput, ourInput) = Self.pipe()
    let (ourOutput, theirOutput) = Self.pipe()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, theirInput, 0)
    posix_spawn_file_actions_adddup2(&actions, theirOutput, 1)
    var argv = ([path] + arguments).map { strdup($0) } + [nil]
    var pid: pid_t = 0
    let result = posix_spawn(&pid, path, &actions, nil, &argv, environ)
    for argument in argv { free(argument) }
    posix_spawn_file_actions_destroy(&actions)
    close(theirInput)
    close(theirOutput)
    (self.pid, input, output) = (pid, ourInput, ourOutput)
    isOver = result != 0
    try #require(result == 0, "\(path) does not start: run `make test`, which builds it")
  }

  deinit {
    if !isOver { _ = try? end() }
    close(output)
  }

  /// A reading and a writing end, both close-on-exec.
  private static func pipe() -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    precondition(Glibc.pipe(&ends) == 0, "no pipe: errno \(errno)")
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
  }

  /// Sends a line.
  func say(_ text: String) throws {
    let bytes = Array((text + "\n").utf8)
    guard write(input, bytes, bytes.count) == bytes.count else { throw Errno(rawValue: errno) }
  }

  /// Waits for a line, at most 30 seconds.
  func line() throws -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    var wait = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    while true {
      guard poll(&wait, 1, 30_000) == 1 else { throw Errno.timedOut }
      guard read(output, &byte, 1) == 1 else { throw Errno.brokenPipe }
      if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
  }

  /// Ends its input, and waits for its last line and its end.
  ///
  /// - Returns: the line, and what waitpid(2) says of the end: 0 if all is well.
  func end() throws -> (line: String, status: Int32) {
    close(input)
    isOver = true
    let last = Result { try line() }
    if (try? last.get()) == nil { kill(pid, SIGKILL) }
    var status: Int32 = -1
    waitpid(pid, &status, 0)
    return (try last.get(), status)
  }
}

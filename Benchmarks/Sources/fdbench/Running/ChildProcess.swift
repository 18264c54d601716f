import Glibc
import SystemPackage

/// A program that this one has started, and ends by its process id.
///
/// Its standard output is a pipe if it talks to us, otherwise the log, where its errors go.
final class ChildProcess {
  let name: String
  let pid: pid_t
  /// The value of exit(3), or 128 and the signal's number; nil while it runs.
  private(set) var status: Int32?
  private let log: String
  private var input: FileDescriptor?
  private var output: FileDescriptor?
  private var unread: [UInt8] = []

  /// - Parameters:
  ///   - command: a path and its arguments.
  ///   - cores: where it runs.
  ///   - talks: whether lines go to and fro.
  ///   - log: the file that gets what it says.
  init(_ command: [String], on cores: Cores, talks: Bool, log: String) throws(Failure) {
    name = command[0].split(separator: "/").last.map(String.init) ?? command[0]
    self.log = log
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var theirs: [FileDescriptor] = []
    defer { for end in theirs { try? end.close() } }
    posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    if talks {
      let (inputRead, inputWrite) = try Self.pipe()
      let (outputRead, outputWrite) = try Self.pipe()
      (input, output) = (inputWrite, outputRead)
      theirs = [inputRead, outputWrite]
      posix_spawn_file_actions_adddup2(&actions, inputRead.rawValue, 0)
      posix_spawn_file_actions_adddup2(&actions, outputWrite.rawValue, 1)
    } else {
      posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_adddup2(&actions, 2, 1)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // Ctrl-C at the terminal is for us alone: we end the children, in order.
    posix_spawnattr_setpgroup(&attributes, 0)
    var ignored = sigset_t()
    sigemptyset(&ignored)
    sigaddset(&ignored, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &ignored)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGDEF))
    // It becomes the program, and keeps its process id.
    var arguments: [UnsafeMutablePointer<CChar>?] =
      (["taskset", "-c", cores.list] + command).map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var pid: pid_t = 0
    let result = posix_spawnp(&pid, "taskset", &actions, &attributes, &arguments, environ)
    self.pid = pid
    guard result == 0 else {
      status = 127
      throw Failure("cannot start \(command[0]) with taskset: \(Errno(rawValue: result))")
    }
  }

  private static func pipe() throws(Failure) -> (FileDescriptor, FileDescriptor) {
    do {
      let ends = try FileDescriptor.pipe()
      // The other children must not hold this one's pipe open.
      for end in [ends.readEnd, ends.writeEnd] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
      return (ends.readEnd, ends.writeEnd)
    } catch {
      throw Failure("cannot make a pipe: \(error)")
    }
  }

  /// The last thing that it said.
  var lastWords: String {
    Files.read(log)?.split(separator: "\n").last.map { ": \($0)" } ?? ""
  }
}

// MARK: - Talking

extension ChildProcess {
  func say(_ line: String) throws(Failure) {
    do {
      _ = try input?.writeAll((line + "\n").utf8)
    } catch {
      throw Failure("\(name) does not listen (\(error))\(lastWords)")
    }
  }

  /// Tells it that nothing more comes.
  func endInput() {
    try? input?.close()
    input = nil
  }

  /// The next line that it prints.
  func line(withinSeconds seconds: Double) throws(Failure) -> String {
    let limit = Limit(seconds: seconds)
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        defer { unread.removeFirst(end + 1) }
        return String(decoding: unread[..<end], as: UTF8.self)
      }
      try Interruption.check()
      guard !limit.hasPassed, let output else {
        throw Failure("\(name) said nothing within \(Int(seconds)) s\(lastWords)")
      }
      var wanted = pollfd(fd: output.rawValue, events: Int16(POLLIN), revents: 0)
      guard poll(&wanted, 1, 100) > 0 else { continue }
      let bytes = (try? Self.read(output)) ?? []
      guard !bytes.isEmpty else { throw Failure("\(name) ended without an answer\(lastWords)") }
      unread += bytes
    }
  }

  private static func read(_ file: FileDescriptor) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
      count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
    }
  }
}

// MARK: - Ending

extension ChildProcess {
  var isRunning: Bool {
    guard status == nil else { return false }
    var word: Int32 = 0
    guard waitpid(pid, &word, WNOHANG) == pid else { return true }
    status = word & 0x7f == 0 ? (word >> 8) & 0xff : 128 + (word & 0x7f)
    return false
  }

  /// Waits until it has ended; false if it has not.
  func hasEnded(withinSeconds seconds: Double) -> Bool {
    let limit = Limit(seconds: seconds)
    while isRunning {
      if limit.hasPassed { return false }
      usleep(1_000)
    }
    return true
  }

  /// Asks it to end, and makes it.
  func stop() {
    endInput()
    if isRunning {
      kill(pid, SIGTERM)
      if !hasEnded(withinSeconds: 1.5) {
        kill(pid, SIGKILL)
        _ = hasEnded(withinSeconds: 5)
      }
    }
    try? output?.close()
    output = nil
  }
}

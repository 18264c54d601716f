public import Glibc

/// A program that a test has started: what it writes, and how it ends.
public final class Program {
  /// Its number.
  public let pid: pid_t
  private let written = Guarded("")
  private let readers: [Worker]
  private var exitStatus: Int32?

  /// What the program wrote to one of its streams, and to both in the order of arrival.
  private let errors = Guarded("")
  private let output = Guarded("")

  /// Why a test cannot go on with it.
  public enum Failure: Error, CustomStringConvertible {
    /// Nobody has said where they are.
    case noReleaseBinaries
    /// The path, and an errno.
    case cannotStart(String, Int32)
    /// What was waited for, and all that it wrote.
    case never(String, Program.Transcript)

    /// In words.
    public var description: String {
      switch self {
      case .noReleaseBinaries:
        "FD_BIN_DIR does not name a folder with release binaries: run `make test`, or "
          + "`swift build -c release` and set FD_BIN_DIR to .build/release"
      case .cannotStart(let path, let errno): "cannot start \(path): errno \(errno)"
      case .never(let what, let transcript): "never \(what); it wrote:\n\(transcript)"
      }
    }
  }

  /// What a program wrote.
  public typealias Transcript = String

  /// The path of a release binary.
  public static func path(of name: String) throws -> String {
    guard let folder = getenv("FD_BIN_DIR") else { throw Failure.noReleaseBinaries }
    let path = String(cString: folder) + "/" + name
    guard access(path, X_OK) == 0 else { throw Failure.noReleaseBinaries }
    return path
  }

  /// Starts a program.
  ///
  /// - Parameters:
  ///   - path: of the executable.
  ///   - arguments: without its name.
  ///   - descriptorLimit: hard and soft, or nil to leave it.
  public init(_ path: String, _ arguments: [String], descriptorLimit: Int? = nil) throws {
    var words = [path] + arguments
    if let descriptorLimit {
      words = ["/bin/sh", "-c", "ulimit -n \(descriptorLimit); exec \"$0\" \"$@\""] + words
    }
    let (outputEnds, errorEnds) = (makePipe(), makePipe())
    pid = try Self.spawn(words, output: outputEnds.write, errors: errorEnds.write)
    close(outputEnds.write)
    close(errorEnds.write)
    readers = [(outputEnds.read, output), (errorEnds.read, errors)].map { [written] end, text in
      Worker { Self.read(end, into: [text, written]) }
    }
  }

  deinit { end() }

  private static func spawn(_ words: [String], output: Int32, errors: Int32) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, errors, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var pid: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    let result = posix_spawn(&pid, words[0], &actions, &attributes, &arguments, environ)
    guard result == 0 else { throw Failure.cannotStart(words[0], result) }
    return pid
  }

  private static func read(_ end: Int32, into texts: [Guarded<String>]) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = Glibc.read(end, &buffer, buffer.count)
      guard count > 0 else { break }
      let text = String(decoding: buffer[..<count], as: UTF8.self)
      for target in texts { target.withLock { $0 += text } }
    }
    close(end)
  }
}

// MARK: - Watching it

extension Program {
  /// What it wrote to its standard error stream so far.
  public var errorText: String { errors.value }
  /// What it wrote to its standard output so far.
  public var outputText: String { output.value }
  /// What it wrote to either.
  public var transcript: String { written.value }

  /// Waits until the program has written something.
  ///
  /// - Parameters:
  ///   - text: how much of it is looked for.
  ///   - find: looks at all that it wrote; nil is not there yet.
  public func waitFor<Found>(_ text: String, _ find: (String) -> Found?) async throws -> Found {
    var found: Found?
    let isFound = await eventually {
      found = find(self.transcript)
      return found != nil || self.hasEnded
    }
    // It may have ended before all that it wrote has been read.
    _ = await eventually(within: .seconds(5)) {
      found = found ?? find(self.transcript)
      return found != nil || !isFound
    }
    guard isFound, let found else { throw Failure.never("wrote \(text)", transcript) }
    return found
  }

  /// Waits until the program has written that.
  public func waitFor(_ text: String) async throws {
    try await waitFor(text) { $0.contains(text) ? () : nil }
  }

  /// Whether it has ended by now; notes how.
  public var hasEnded: Bool {
    if exitStatus != nil { return true }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return false }
    exitStatus = status
    return true
  }

  /// Waits until the program has ended and everything that it wrote has been read.
  ///
  /// - Returns: its exit code, or minus the number of the signal that ended it.
  public func waitForExit() async throws -> Int32 {
    guard await eventually({ self.hasEnded }), let status = exitStatus else {
      throw Failure.never("ended", transcript)
    }
    for reader in readers { reader.join() }
    return status & 0x7f == 0 ? status >> 8 & 0xff : -(status & 0x7f)
  }

  /// Sends it a signal.
  public func send(_ signal: Int32) { kill(pid, signal) }

  /// Ends it, if it has not ended, and forgets it.
  public func end() {
    if !hasEnded {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      exitStatus = SIGKILL
    }
    for reader in readers { reader.join() }
  }
}

// MARK: - What the kernel knows of it

extension Program {
  /// How many descriptors it has open.
  public var descriptorCount: Int {
    guard let folder = opendir("/proc/\(pid)/fd") else { return -1 }
    defer { closedir(folder) }
    var count = 0
    while let entry = readdir(folder) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }

  /// A figure of /proc/PID/status in bytes, such as `VmHWM`.
  public func memory(_ name: String) -> Int {
    let fields = Self.contents(of: "/proc/\(pid)/status").split(separator: "\n")
      .first { $0.hasPrefix(name + ":") }?.split(whereSeparator: { $0 == " " || $0 == "\t" })
    return (fields?.count == 3 ? Int(fields![1]) : nil).map { $0 << 10 } ?? -1
  }

  /// How long it has computed, all threads together, in clock ticks of a hundredth of a second.
  public var processorTicks: Int {
    let fields = Self.contents(of: "/proc/\(pid)/stat").split(separator: " ")
    return fields.count > 15 ? (Int(fields[13]) ?? 0) + (Int(fields[14]) ?? 0) : -1
  }

  private static func contents(of path: String) -> String {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return "" }
    defer { close(fd) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 8192)
    while true {
      let count = Glibc.read(fd, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: text, as: UTF8.self) }
      text += buffer[..<count]
    }
  }
}

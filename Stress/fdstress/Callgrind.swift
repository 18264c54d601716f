import ArgumentParser
import Glibc
import Workloads

/// Runs this program under callgrind, to count the instructions of workloads.
enum Callgrind {
  static var isThere: Bool { (try? run(["valgrind", "--version"])) == 0 }

  /// Counts, per operation, what each workload's function takes. All of them are counted in one run.
  ///
  /// Its own options that leave out the rest (--toggle-collect, --zero-before) do not on any thread
  /// but the first (seen with Valgrind 3.19), so it counts everything.
  ///
  /// - Parameters:
  ///   - workloads: exact ones.
  ///   - repetitions: of each.
  static func count(
    _ workloads: [Workload], _ repetitions: Int
  ) throws -> [(workload: String, count: Double)] {
    precondition(repetitions <= Workload.mostAtOnce, "one call has all repetitions")
    let (program, output) = (try temporaryPath(), try temporaryPath())
    defer { for path in [program, output] { unlink(path) } }
    // Valgrind gives up on what it does not understand of a newer compiler's debugging information.
    try succeed(["strip", "--strip-debug", "-o", program, try ownPath()])
    let symbols = Set(workloads.map(\.symbol)).sorted()
    try succeed(
      ["valgrind", "--tool=callgrind", "--quiet", "--combine-dumps=yes"]
        + ["--compress-strings=no", "--compress-pos=no", "--callgrind-out-file=\(output)"]
        + symbols.map { "--dump-after=\($0)" }
        + [program, "workload", "--count", "\(repetitions)", "--rounds", "1"]
        + workloads.map(\.name))
    let counts = CallgrindCounts(parsing: contents(of: output) ?? "")
    guard let result = counts.perOperation(of: workloads, repetitions) else {
      throw ValidationError(
        "callgrind has not seen what was to be counted, but \(counts.calls.map(\.symbol))")
    }
    return result
  }

  private static func succeed(_ arguments: [String]) throws {
    let status = try run(arguments)
    guard status == 0 else { throw ValidationError("\(arguments[0]) has ended with \(status)") }
  }

  /// Runs a program to its end, with what it prints going nowhere unless it is an error.
  ///
  /// - Returns: its exit code, or minus the number of the signal that ended it.
  private static func run(_ arguments: [String]) throws -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
    let argv = arguments.map { strdup($0) } + [nil]
    let environment = variables.map { strdup($0) } + [nil]
    defer { for text in argv + environment { free(text) } }
    var child = pid_t()
    let refusal = posix_spawnp(&child, arguments[0], &actions, nil, argv, environment)
    guard refusal == 0 else {
      throw ValidationError("cannot run \(arguments[0]): \(String(cString: strerror(refusal)))")
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
  }

  /// The environment of what is counted: hashes that are the same in every run, and no symbol that
  /// is looked for when it is first called.
  private static let variables = [
    "PATH=" + (getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"),
    "SWIFT_DETERMINISTIC_HASHING=1", "LD_BIND_NOW=1",
  ]

  /// Of a new, empty file.
  private static func temporaryPath() throws -> String {
    var path = Array("/tmp/fdstress-XXXXXX".utf8CString)
    let file = mkstemp(&path)
    guard file >= 0 else {
      throw ValidationError("no file in /tmp: \(String(cString: strerror(errno)))")
    }
    close(file)
    return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

import Glibc

/// Counts the system calls of a server with perf-stat(1) and the tracepoint that all of them pass.
struct SystemCallCounter {
  private static let event = "raw_syscalls:sys_enter"
  private let child: ChildProcess
  private let path: String

  /// Why it does not work here; nil if it does.
  static func whatIsMissing(on stage: Stage) -> String? {
    guard stage.path(of: "perf") != nil else { return "perf is not installed" }
    let text = stage.output(of: "perf", ["stat", "-x,", "-e", event, "--", "true"])
    guard let text, count(in: text) != nil else { return "perf may not count \(event) here" }
    return nil
  }

  /// Counts from the return of this call on.
  init(_ processes: ProcessTree, on stage: Stage) throws(Failure) {
    path = "\(stage.folder)/perf.csv"
    unlink(path)
    let pids = processes.pids.map { "\($0)" }.joined(separator: ",")
    // It counts as long as the command runs, and that runs until its input ends.
    child = try stage.start(
      "perf",
      ["stat", "-x,", "-e", Self.event, "-p", pids, "-o", path, "--"]
        + ["sh", "-c", "echo ready; exec cat"],
      on: .other, talks: true)
    _ = try child.line(withinSeconds: 10)
    try Interruption.sleep(milliseconds: 20)
  }

  /// How many there were; nil if perf does not say.
  func finish() -> Double? {
    child.endInput()
    defer { child.stop() }
    guard child.hasEnded(withinSeconds: 10) else { return nil }
    return Files.read(path).flatMap(Self.count(in:))
  }

  static func count(in text: String) -> Double? {
    for line in text.split(separator: "\n") where line.contains(event) {
      return line.split(separator: ",").first.flatMap { Double($0) }
    }
    return nil
  }
}

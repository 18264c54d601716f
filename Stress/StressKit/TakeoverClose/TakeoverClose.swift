import FDOwnership
import FDPoller

/// Loops steal each other's parked connections, use them, move them and park them again, while
/// handlers, loops and foreign threads delete them, peers write and hang up, and every number is
/// used again at once.
public final class TakeoverClose: StressScenario, @unchecked Sendable {
  /// As on the command line.
  public static let name = "takeover-close"
  /// What it does, in one line.
  public static let summary =
    "loops steal connections that others delete and peers leave; numbers are used again at once"

  private let parameters: StressParameters
  private let descriptorsBefore: [Int32: String]?
  /// Gone when the run is over, and with it the poller.
  private var field: Field?

  /// Makes the poller; its threads start with `run`.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ parameters: StressParameters) throws {
    self.parameters = parameters
    descriptorsBefore = parameters.countsDescriptors ? OpenDescriptors.now() : nil
    field = try Field(parameters)
  }

  /// Runs once.
  public func run() -> StressReport {
    let outcome = useField()
    if let descriptorsBefore, outcome.hanging.isEmpty {
      for leak in OpenDescriptors.leaks(since: descriptorsBefore) {
        outcome.violations.add("every descriptor is closed", leak)
      }
    }
    let verdict: StressReport.Verdict =
      if outcome.violations.count > 0 {
        .violated
      } else {
        outcome.hanging.isEmpty ? .clean : .noProgress
      }
    return StressReport(
      verdict: verdict, complaints: outcome.violations.complaints + outcome.hanging,
      summary: outcome.summary)
  }

  private struct Outcome {
    let violations: Violations
    let hanging: [String]
    let summary: [String]
  }

  /// The part of the run that needs the poller, which is gone when this returns.
  private func useField() -> Outcome {
    guard let field else { preconditionFailure("a scenario is run once") }
    self.field = nil
    let start = ContinuousClock.now
    var hanging = field.storm(parameters)
    let duration = ContinuousClock.now - start
    // Once a ledger is broken the others say nothing.
    if hanging.isEmpty && field.violations.count == 0 { field.auditAtRest() }
    if hanging.isEmpty { hanging = field.endEverything() }
    if hanging.isEmpty { field.auditAtTheEnd() }
    let summary = field.summary(parameters, after: duration)
    field.dissolve()
    return Outcome(violations: field.violations, hanging: hanging, summary: summary)
  }
}

extension Field {
  /// What was done, in a few lines.
  fileprivate func summary(_ parameters: StressParameters, after duration: Duration) -> [String] {
    let total = poller.snapshot().total
    func of(_ counter: PollerCounter) -> UInt64 { total[counter] }
    let operations = workers.reduce(0) { $0 + $1.heartbeat.count } * LoopWorker.operationsPerStep
    let seconds =
      Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    let groups = Set(poller.loops.map(\.bit.group)).count
    return [
      "\(parameters.threads) threads in \(groups) groups, \((seconds * 10).rounded() / 10) s, "
        + "seed \(parameters.seed)",
      "operations \(operations), connections \(opened.count), messages \(messages.count)",
      "takeovers won \(of(.takeoversWon)) (moves \(moves.count)), "
        + "busy \(of(.takeoversBusy)), gone \(of(.takeoversGone))",
      "closes by deleter \(of(.closesByDeleter)), by last leaver \(of(.closesByLastLeaver)); "
        + "disowned \(of(.disowned)), hang-ups heard \(hangUps.count), "
        + "deletes too late \(of(.deletesAlreadyGone))",
      "events \(of(.events)), stale \(of(.eventsStale)), lost \(of(.eventsLost)), "
        + "while inside \(of(.eventsWhileInside))",
    ]
  }
}

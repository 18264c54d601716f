import FDAtomics
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization

/// One run of a scenario: the storm, the calm after it, and every ledger.
public enum StressRun {
  /// What a run has done so far.
  public struct Progress: Sendable {
    /// Since the beginning of the storm.
    public let elapsed: Duration
    /// Names and counts.
    public let counts: [StressReport.Count]
  }

  /// Runs a scenario once, checks every ledger, and leaves nothing behind unless a thread hangs.
  /// Not callable from an event loop; one run at a time in a process.
  ///
  /// - Parameters:
  ///   - scenario: of the catalogue, or your own.
  ///   - parameters: what can be changed.
  ///   - progress: called about once a second, on the calling thread.
  /// - Throws: what makes the parameters impossible, or what the kernel refuses at the beginning.
  public static func run(
    _ scenario: any StressScenario.Type, _ parameters: StressParameters,
    progress: (Progress) -> Void = { _ in }
  ) throws -> StressReport {
    guard let body = parameters.custody == .oneWord ? scenario : scenario.ofSplitMask else {
      throw StressError.unsuitable("the split-mask protocol has no \(scenario.name)")
    }
    body.prepareProcess()
    let before =
      parameters.countsDescriptors
      ? Belongings(connections: Connection.liveCount, descriptors: OpenDescriptors()) : nil
    let stage = Stage(parameters)
    if let delays = parameters.delays {
      guard StressParameters.delaysAreBuiltIn || delays.points == [.own] else {
        throw StressError.delaysAreNotBuiltIn
      }
      delays.begin()
    }
    defer {
      DelayPlan.end()
      // Threads that hang still use it, and a poller that runs cannot be dropped.
      if !stage.hanging.isEmpty { stranded.withLock { $0.append(stage) } }
    }
    let start = ContinuousClock.now
    let duration = try perform(body, stage, since: start, progress)
    // As long as something could be waited for in vain the rest says nothing.
    if stage.hanging.isEmpty && stage.violations.count == 0 {
      stage.auditLedgers()
      if let before { auditProcess(stage, before) }
    }
    return report(scenario.name, stage, start, duration)
  }

  /// Stages of runs that have not come to their end.
  private static let stranded = Mutex<[Stage]>([])

  /// What a process has, and must have again after a run.
  private struct Belongings {
    let connections: Int
    let descriptors: OpenDescriptors
  }

  /// The part of the run that needs the scenario, which is gone when this returns.
  ///
  /// - Returns: how long the storm lasted.
  private static func perform(
    _ scenario: any StressScenario.Type, _ stage: Stage, since start: ContinuousClock.Instant,
    _ progress: (Progress) -> Void
  ) throws -> Duration {
    let scenario = try scenario.init(stage)
    do {
      try scenario.begin()
    } catch {
      stage.endStorm()
      stage.hang(stage.endThreads())
      scenario.end()
      stopPollers(stage)
      throw error
    }
    storm(stage, since: start, progress)
    let duration = ContinuousClock.now - start
    stage.endStorm()
    if stage.hanging.isEmpty { stage.hang(stage.endThreads()) }
    if stage.hanging.isEmpty { scenario.calm() }
    // Once a ledger is broken the others say nothing.
    if stage.hanging.isEmpty && stage.violations.count == 0 { scenario.audit() }
    if stage.hanging.isEmpty { scenario.end() }
    if stage.hanging.isEmpty { stopPollers(stage) }
    return duration
  }

  private static func storm(
    _ stage: Stage, since start: ContinuousClock.Instant, _ progress: (Progress) -> Void
  ) {
    var watchdog = Watchdog(patience: stage.parameters.patience)
    var nextProgress = Duration.seconds(1)
    while true {
      let elapsed = ContinuousClock.now - start
      guard elapsed < stage.parameters.duration, stage.violations.count == 0,
        stage.hanging.isEmpty
      else { return }
      usleep(10_000)
      stage.hang(watchdog.look(at: stage.watched).map { "\($0) does nothing any more" })
      if elapsed >= nextProgress {
        nextProgress += .seconds(1)
        progress(Progress(elapsed: elapsed, counts: stage.countsSoFar))
      }
    }
  }

  private static func stopPollers(_ stage: Stage) {
    for poller in stage.present {
      stage.stop(poller)
      guard stage.hanging.isEmpty else { return }
      stage.dismiss(poller)
    }
  }

  private static func auditProcess(_ stage: Stage, _ before: Belongings) {
    let connections = { Connection.liveCount - before.connections }
    if !stage.comes({ connections() == 0 }) {
      stage.violate("every connection object is released", "\(connections()) more than before")
    }
    var changes: [String] = []
    _ = stage.comes {
      changes = before.descriptors.changes
      return changes.isEmpty
    }
    for change in changes { stage.violate("the same descriptors are open as before", change) }
  }

  private static func report(
    _ name: String, _ stage: Stage, _ start: ContinuousClock.Instant, _ duration: Duration
  ) -> StressReport {
    let first = stage.violations.first
    let hanging = stage.hanging
    let verdict: StressReport.Verdict =
      stage.violations.count > 0 ? .violated : hanging.isEmpty ? .clean : .noProgress
    return StressReport(
      scenario: name, parameters: stage.parameters, verdict: verdict,
      complaints: stage.violations.complaints + hanging,
      threads: first?.threads
        ?? (verdict == .clean ? [] : ThreadHistory.lines(since: stage.violations.begin)),
      timeToDetection: first.map { $0.moment - start } ?? (verdict == .clean ? nil : duration),
      duration: duration, counts: stage.countsSoFar)
  }
}

/// Why a run cannot be made.
public enum StressError: Error, Equatable, CustomStringConvertible {
  /// Delays are asked for, and the poller was built without them.
  case delaysAreNotBuiltIn
  /// The parameters do not fit the scenario; the text says what to change.
  case unsuitable(String)

  /// One line: what, and what to do.
  public var description: String {
    switch self {
    case .delaysAreNotBuiltIn:
      "this build has no delays: build it with --traits SpinDelays, in a scratch path of its own"
    case .unsuitable(let text): text
    }
  }
}

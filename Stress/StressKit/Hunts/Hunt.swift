public import FDDelays
public import FDPoller

/// A defect by its name, and the run that shows it soonest.
public struct Hunt: Sendable {
  /// How a build gets the defect.
  public enum Origin: Sendable, Equatable {
    /// Every build has it, in a protocol that nothing but the hunt runs on.
    case custody(CustodyProtocol)
    /// A patch of Stress/defects, applied to the source before it is built.
    case patch
  }

  /// The name of the defect.
  public let defect: String
  /// What it does, in one line.
  public let summary: String
  /// The step that it is at: where in the source, and what happens there.
  public let place: String
  /// How a build gets it.
  public let origin: Origin
  /// The name of the scenario that shows it.
  public let scenario: String
  /// Why it may not show, if the machine has a say in that.
  public var doubt: String?
  /// Threads of the run.
  public var threads = 8
  /// The poller's thread groups, or nil for as few as hold the threads.
  public var groups: Int?
  /// What the poller's threads wait with.
  public var io = IOBackend.epoll
  /// Who does nothing for so long hangs. Short, but not for a machine that is busy.
  public var patience = Duration.seconds(5)
  /// How long one storm lasts at most: many ledgers are read only at rest.
  public var round = Duration.seconds(1)
  /// Where threads lose time; a build that has no delays does without.
  public var delays: DelayPlan

  init(
    _ defect: String, _ summary: String, at place: String, origin: Origin, scenario: String,
    delays: DelayPlan
  ) {
    self.defect = defect
    self.summary = summary
    self.place = place
    self.origin = origin
    self.scenario = scenario
    self.delays = delays
  }

  /// The parameters of one storm.
  ///
  /// - Parameters:
  ///   - duration: of the storm.
  ///   - seed: any.
  public func parameters(duration: Duration, seed: UInt64) -> StressParameters {
    var parameters = StressParameters(
      duration: duration, threads: threads, groups: groups, seed: seed)
    parameters.io = io
    parameters.patience = patience
    if case .custody(let custody) = origin { parameters.custody = custody }
    if StressParameters.delaysAreBuiltIn {
      parameters.delays = delays
      parameters.delays?.seed = seed
    }
    return parameters
  }

  /// Runs the scenario, again and again, until a ledger is broken, something hangs, or the time is
  /// over. Not callable from an event loop; one run at a time in a process.
  ///
  /// - Parameters:
  ///   - duration: of all storms together; the way to rest after the last one is extra.
  ///   - seed: of the first storm; it decides the seeds of the others.
  ///   - adjust: changes the parameters of each storm.
  ///   - progress: called about once a second, on the calling thread.
  /// - Throws: what `StressRun` throws, or that there is no such scenario.
  public func run(
    for duration: Duration, seed: UInt64, adjust: (inout StressParameters) -> Void = { _ in },
    progress: (StressRun.Progress) -> Void = { _ in }
  ) throws -> Outcome {
    guard let scenario = StressCatalogue.scenarios.first(where: { $0.name == scenario }) else {
      throw StressError.unsuitable("there is no scenario \(scenario)")
    }
    let start = ContinuousClock.now
    var random = SplitMix(seed: seed)
    var next = seed
    var storms = 0
    while true {
      let before = ContinuousClock.now - start
      var parameters = parameters(
        duration: min(round, max(.milliseconds(1), duration - before)), seed: next)
      adjust(&parameters)
      let report = try StressRun.run(scenario, parameters, progress: progress)
      storms += 1
      let isFound = report.verdict != .clean
      if isFound || ContinuousClock.now - start >= duration {
        return Outcome(
          hunt: self, report: report, storms: storms,
          timeToDetection: isFound ? before + (report.timeToDetection ?? .zero) : nil)
      }
      next = random.next()
    }
  }

  /// What became of a hunt.
  public struct Outcome: Sendable {
    /// Whose outcome it is.
    public let hunt: Hunt
    /// Of the last storm: the one that found it, if one did.
    public let report: StressReport
    /// How many storms there were.
    public let storms: Int
    /// From the beginning of the first storm until a ledger broke or a hang was noticed, with the
    /// ways to rest and the beginnings of the storms between; nil if nothing was found.
    public let timeToDetection: Duration?

    /// Whether something was found; a hang counts.
    public var isFound: Bool { timeToDetection != nil }
  }
}

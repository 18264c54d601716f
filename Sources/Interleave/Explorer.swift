import CFibers
import Synchronization

/// Runs a scenario in every order that its threads can take.
public enum Explorer {
  /// How far to go.
  public struct Options: Sendable {
    /// What loads may read.
    public var model = MemoryModel.sequentiallyConsistent
    /// At most so often a thread is interrupted that could go on; nil for any number. With a bound
    /// the result is no proof. It takes the place of `prunesIndependent`, which would leave out
    /// orders with fewer preemptions.
    public var preemptions: Int?
    /// Steps of one execution, at most 30,000; more is taken for a loop without progress, and ends
    /// the exploration without a verdict.
    public var stepLimit = 10_000
    /// Executions in all; 0 for any number.
    public var executionLimit = 0
    /// States that are remembered; 24 to 48 bytes each.
    public var stateLimit = 50_000_000
    /// Whether a state that was met before is left out.
    public var mergesStates = true
    /// Whether one order is enough for steps that do not touch each other.
    public var prunesIndependent = true
    /// Whether, after a violation has been found, one with the fewest preemptions is looked for.
    /// That takes at most a few times as long as the first one took.
    public var shortens = true
    /// Follows these choices, in one execution.
    public var replay: [Int]?

    /// Everything.
    public init(model: MemoryModel = .sequentiallyConsistent) { self.model = model }
  }

  /// Explores a scenario on the calling thread.
  ///
  /// - Parameters:
  ///   - options: how far to go.
  ///   - scenario: makes the shared objects and adds the threads; called anew for every execution.
  ///     It must do the same each time. That includes the values that it stores in words: if one is
  ///     an address, the object has to be made outside and live as long as the exploration.
  public static func explore(
    _ options: Options = Options(), _ scenario: (Setup) -> Void
  ) -> Report {
    guard fdf_current_execution() == nil else {
      fatalError("a scenario cannot explore another scenario")
    }
    exclusivity.begin()
    defer { exclusivity.end() }
    let report = Exploration(options).run(scenario)
    guard options.shortens, options.replay == nil, let violation = report.violation else {
      return report
    }
    let shorter = fewestPreemptions(violation, options, budget: report.steps, scenario)
    return shorter.map { report.telling($0) } ?? report
  }

  /// A violation with fewer preemptions than this one, and the fewest that there are; nil if this
  /// one has the fewest, or if the search for less takes much longer than the first one took.
  private static func fewestPreemptions(
    _ found: Report.Violation, _ options: Options, budget: Int, _ scenario: (Setup) -> Void
  ) -> Report.Violation? {
    var bounded = options
    var left = 4 * budget + 50_000
    for bound in 0..<found.preemptions {
      bounded.preemptions = bound
      let report = Exploration(bounded, totalSteps: left).run(scenario)
      if let violation = report.violation { return violation }
      left -= report.steps
      if left <= 0 { return nil }
    }
    return nil
  }

  private static let exclusivity = ExclusivityChecks()
}

/// Swift's own run-time checks of exclusive access keep a list per thread, which fibers would
/// corrupt. They are off while anybody explores, in the whole process.
private final class ExclusivityChecks: Sendable {
  private let state = Mutex((explorers: 0, before: false))

  func begin() {
    state.withLock {
      if $0.explorers == 0 { $0.before = fdf_disable_exclusivity_checking(true) }
      $0.explorers += 1
    }
  }

  func end() {
    state.withLock {
      $0.explorers -= 1
      if $0.explorers == 0 { _ = fdf_disable_exclusivity_checking($0.before) }
    }
  }
}

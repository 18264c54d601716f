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
    /// How many of a thread's weak compare-and-swaps may fail although they find what they expect,
    /// as they do on processors that have load-linked and store-conditional instead. At most 100.
    public var weakFailures = 0
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
    /// Whether, after a violation has been found, one is looked for that has the fewest preemptions
    /// and, of those, the fewest steps. That takes at most a few times as long as the first one took.
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
    return report.telling(simplest(violation, options, budget: report.steps, scenario))
  }

  /// Of the violations with the fewest preemptions one with the fewest steps, as far as that can be
  /// found without taking much longer than the first one took.
  private static func simplest(
    _ found: Report.Violation, _ options: Options, budget: Int, _ scenario: (Setup) -> Void
  ) -> Report.Violation {
    var best = found
    var bounded = options
    var left = 4 * budget + 50_000
    func look(_ preemptions: Int, longest: Int) -> Report.Violation? {
      guard left > 0 else { return nil }
      bounded.preemptions = preemptions
      let report = Exploration(bounded, totalSteps: left, longest: longest).run(scenario)
      left -= report.steps
      return report.violation
    }
    for bound in 0..<found.preemptions {
      guard let fewer = look(bound, longest: .max) else { continue }
      best = fewer
      break
    }
    while let shorter = look(best.preemptions, longest: best.steps - 1) { best = shorter }
    return best
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

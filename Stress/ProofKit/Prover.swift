import Dispatch
public import Interleave
import Synchronization

/// One scenario to be explored in one way.
public struct ProofStep: Sendable {
  /// What.
  public let scenario: ProofScenario
  /// How.
  public let options: Explorer.Options

  /// - Parameters:
  ///   - scenario: what to explore.
  ///   - options: how.
  public init(_ scenario: ProofScenario, _ options: Explorer.Options) {
    self.scenario = scenario
    self.options = options
  }

  /// Explores it, on the calling thread.
  public func run() -> Report { scenario.explore(options) }
}

/// Explores many scenarios, one on each core at a time.
public enum Prover {
  /// - Parameters:
  ///   - steps: any number; begun in that order.
  ///   - report: told of each when it is done, by one thread at a time.
  public static func run(
    _ steps: [ProofStep], report: @escaping @Sendable (ProofStep, Report) -> Void
  ) {
    let turn = Mutex(())
    DispatchQueue.concurrentPerform(iterations: steps.count) { index in
      let found = steps[index].run()
      turn.withLock { _ in report(steps[index], found) }
    }
  }
}

import Dispatch
public import Interleave
import Synchronization

/// Explores many scenarios, one on each core at a time.
public enum Prover {
  /// One exploration, done.
  public struct Result: Sendable {
    /// What was explored.
    public let scenario: ProofScenario
    /// Under which model.
    public let model: MemoryModel
    /// What came out.
    public let report: Report
  }

  /// Explores each scenario under each of its models.
  ///
  /// - Parameters:
  ///   - scenarios: any number.
  ///   - report: told of each exploration when it is done, in that order, by one thread at a time.
  public static func prove(
    _ scenarios: [ProofScenario], report: @escaping @Sendable (Result) -> Void
  ) {
    let jobs = scenarios.flatMap { scenario in scenario.models.map { (scenario, $0) } }
    let turn = Mutex(())
    DispatchQueue.concurrentPerform(iterations: jobs.count) { index in
      let (scenario, model) = jobs[index]
      let found = scenario.explore(Explorer.Options(model: model))
      turn.withLock { _ in report(Result(scenario: scenario, model: model, report: found)) }
    }
  }
}

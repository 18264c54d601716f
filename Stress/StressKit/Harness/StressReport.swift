/// What became of a run.
public struct StressReport: Sendable {
  /// The outcome of all ledgers together.
  public enum Verdict: String, Error, Equatable, Sendable {
    /// Every ledger balances.
    case clean
    /// At least one does not.
    case violated
    /// Something did not go on for so long that it never will.
    case noProgress = "no progress"
  }

  /// The name of the scenario.
  public let scenario: String
  /// What the run was told.
  public let parameters: StressParameters
  /// The seed, whether it was given or drawn.
  public var seed: UInt64 { parameters.seed }
  /// The outcome.
  public let verdict: Verdict
  /// What is wrong, one ledger a line; empty if the run is clean.
  public let complaints: [String]
  /// What every thread did last when the first ledger broke, a few lines for each.
  public let threads: [String]
  /// From the beginning of the storm until the first ledger broke or a hang was noticed.
  public let timeToDetection: Duration?
  /// How long the storm lasted.
  public let duration: Duration
  /// What was done: names and counts.
  public let counts: [Count]

  /// How often something was done.
  public struct Count: Sendable, Equatable {
    /// What was done.
    public let name: String
    /// How often.
    public let value: Int
  }
}

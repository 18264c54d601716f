public import FDPoller

/// What the command line can change about a run.
public struct StressParameters: Sendable {
  /// How long the storm lasts, before everything is checked at rest.
  public var duration: Duration
  /// The poller's threads.
  public var threads: Int
  /// The poller's thread groups, or nil for as few as hold the threads.
  public var groups: Int?
  /// What the poller's threads wait with.
  public var io = IOBackend.epoll
  /// Gives every thread its sequence of choices. What the threads do to each other is up to the
  /// machine, so a run is repeated in kind, not event by event.
  public var seed: UInt64
  /// Whether the process has to have the same descriptors open afterwards as before. Not if
  /// something else in it opens and closes some.
  public var countsDescriptors = true

  /// - Parameters:
  ///   - duration: of the storm.
  ///   - threads: 1 to 1,008.
  ///   - groups: 1 to 63, or nil for as few as hold the threads.
  ///   - seed: any.
  public init(duration: Duration, threads: Int, groups: Int? = nil, seed: UInt64) {
    self.duration = duration
    self.threads = threads
    self.groups = groups
    self.seed = seed
  }
}

/// A load that tries to break the poller, and the ledgers that tell if it has.
public protocol StressScenario: Sendable {
  /// As on the command line.
  static var name: String { get }
  /// What it does, in one line.
  static var summary: String { get }

  /// Prepares a run.
  ///
  /// - Throws: what makes the parameters impossible.
  init(_ parameters: StressParameters) throws

  /// Runs once, checks every ledger, and leaves nothing behind unless a thread hangs. Not callable
  /// from an event loop.
  func run() -> StressReport
}

/// All scenarios there are.
public enum StressCatalogue {
  /// In the order in which they are listed and run.
  public static let scenarios: [any StressScenario.Type] = [TakeoverClose.self]
}

/// What became of a run.
public struct StressReport: Sendable {
  /// The outcome of all ledgers together.
  public enum Verdict: Error, Equatable {
    /// Every ledger balances.
    case clean
    /// At least one does not.
    case violated
    /// Something did not go on for so long that it never will.
    case noProgress
  }

  /// The outcome.
  public let verdict: Verdict
  /// What is wrong, one ledger a line; empty if the run is clean.
  public let complaints: [String]
  /// What was done, in a few lines.
  public let summary: [String]
}

public import FDDelays
public import FDPoller

/// What can be changed about a run.
public struct StressParameters: Sendable {
  /// How long the storm lasts, before everything is checked at rest.
  public var duration: Duration
  /// The poller's threads.
  public var threads: Int
  /// The poller's thread groups, or nil for as few as hold the threads.
  public var groups: Int?
  /// What the poller's threads wait with.
  public var io = IOBackend.epoll
  /// Who guards descriptors. Scenarios that have a poller know the one word only.
  public var custody = CustodyProtocol.oneWord
  /// Gives every thread its sequence of choices. What the threads do to each other is up to the
  /// machine, so a run is repeated in kind, not event by event.
  public var seed: UInt64
  /// Where threads lose time, or nil for nowhere. All places but `DelayPoint.own` need the package
  /// trait `SpinDelays`.
  public var delays: DelayPlan?
  /// How long a live thread may be kept from its work by a machine that is busy: who does nothing
  /// for longer hangs.
  public var patience = Duration.seconds(60)
  /// How many connections there are at once where there are many.
  public var connections = 10_000
  /// Whether the process has to have the same descriptors and connections afterwards as before. Not
  /// if something else in it opens and closes some.
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

  /// Whether this build's poller can lose time where a plan says so.
  public static var delaysAreBuiltIn: Bool { custodyWordIsDelayed }
}

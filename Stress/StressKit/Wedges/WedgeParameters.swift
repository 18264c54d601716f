public import FDPoller

/// What a wedge is told.
public struct WedgeParameters: Sendable {
  /// What stands between the wedge and the sessions.
  public enum Shape: String, Sendable, CaseIterable {
    /// The primitives of FDCoordination.
    case primitive
    /// What was there when it happened: one lock around everything that takes time, or no
    /// heartbeat.
    case incident
  }

  /// How many sessions behave.
  public var sessions = 200
  /// How many exchanges each of them begins in a second.
  public var rate = 10.0
  /// How long is measured at a time, without the wedge and then with it.
  public var phase: Duration = .seconds(3)
  /// How often.
  public var pairs = 5
  /// How long the server bears with whoever is wedged. As long as a phase or longer, the wedge is
  /// there for all of it.
  public var bound: Duration = .seconds(3)
  /// How much later than that the end may be seen, on a machine that has other things to do.
  public var slack: Duration = .milliseconds(500)
  /// How long a session may wait for an answer.
  public var patience: Duration = .seconds(10)
  /// The most that the median of the ratios of the 99th percentiles may be; nil asks for nothing.
  public var mostRatio: Double?
  /// What the poller's threads wait with.
  public var io = IOBackend.epoll
  /// What stands between the wedge and the sessions.
  public var shape = Shape.primitive
  /// Whether one client goes by losing all its packets, in a network namespace. Takes root.
  public var hasNetwork = false
  /// The program, and its first arguments, that calls `WedgeRun.beChild` with the arguments that
  /// follow.
  public var program: [String]

  /// As by default; see the properties.
  public init(program: [String]) { self.program = program }
}

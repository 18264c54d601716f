import FDNet
import FDPoller

/// Connections whose deadlines are a few milliseconds, and timers of the same kind, while bytes
/// arrive, connections move and close, and timers are cancelled at just that time.
public final class TimeoutStorm: StressScenario {
  /// As on the command line.
  public static let name = "timeout-storm"
  /// What it does, in one line.
  public static let summary =
    "deadlines and timers of milliseconds against bytes, moves, closes and cancellations"

  private let clockwork: Clockwork
  private var stage: Stage { clockwork.stage }

  /// Makes the poller.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { clockwork = try Clockwork(stage) }

  /// Listens, connects, and sets the first timers.
  ///
  /// - Throws: what the kernel refuses.
  public func begin() throws { try clockwork.begin() }

  /// Every connection has ended, if by nothing else by its deadline, and every timer is due.
  public func calm() {
    stage.wait(
      for: "\(self.clockwork.timers.live) timers are neither called nor cancelled",
      until: { clockwork.timers.live == 0 })
    stage.wait(
      for: "\(self.clockwork.connects.live) attempts to connect are never told of",
      until: { clockwork.connects.live == 0 })
    stage.wait(
      for: "\(self.clockwork.ledgers.ends.live) connections outlive their deadlines",
      until: { clockwork.ledgers.ends.live == 0 })
  }

  /// Nothing is left but the listeners.
  public func audit() { stage.auditSilence(of: clockwork.poller) }

  /// Closes the listeners.
  public func end() { clockwork.end() }
}

import FDNet
import FDPoller

/// Senders that are faster than their readers, which stop and go.
public final class SlowReader: StressScenario {
  /// As on the command line.
  public static let name = "slow-reader"
  /// What it does, in one line.
  public static let summary =
    "senders push against readers that stop and go; both move; watermarks hold, no byte is lost"

  private let canal: Canal
  private var stage: Stage { canal.stage }

  /// Makes the poller.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { canal = try Canal(stage) }

  /// Listens, and begins to send.
  ///
  /// - Throws: what the kernel refuses.
  public func begin() throws { try canal.begin() }

  /// What was begun is sent and read to its end.
  public func calm() {
    stage.wait(
      for: "\(self.canal.sessions.live) senders do not come to their end",
      progress: { canal.bytesRead.count },
      until: { canal.sessions.live == 0 })
    stage.wait(
      for: "\(self.canal.ledgers.ends.live) connections do not come to their end",
      progress: { canal.bytesRead.count },
      until: { canal.ledgers.ends.live == 0 })
  }

  /// Nothing is left but the listeners.
  public func audit() { stage.auditSilence(of: canal.poller) }

  /// Closes the listeners.
  public func end() { canal.end() }
}

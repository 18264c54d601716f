import FDNet
import FDPoller

/// Clients that connect, send, and reset at every moment, while the servers write, pause, move their
/// connections and close one direction.
public final class RstStorm: StressScenario {
  /// As on the command line.
  public static let name = "rst-storm"
  /// What it does, in one line.
  public static let summary =
    "clients reset their connections while servers write, pause, move, half-close and close them"

  private let shore: Shore
  private var stage: Stage { shore.stage }

  /// Makes the poller.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { shore = try Shore(stage) }

  /// Listens, and starts the clients.
  ///
  /// - Throws: what the kernel refuses.
  public func begin() throws { try shore.begin() }

  /// The clients are gone, and so is every connection.
  public func calm() {
    shore.dropClients()
    stage.wait(
      for: "\(self.shore.ledgers.ends.live) connections outlive their clients",
      until: { shore.ledgers.ends.live == 0 })
  }

  /// The listener still listens, on every loop.
  public func audit() {
    shore.auditListener()
    stage.auditSilence(of: shore.poller)
  }

  /// Closes the listener.
  public func end() { shore.end() }
}

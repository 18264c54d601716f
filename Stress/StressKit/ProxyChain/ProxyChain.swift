import FDNet
import FDPoller

/// A proxy that passes requests on to itself, several hops, through a pool that keeps little and not
/// for long, while the servers close what is idle.
public final class ProxyChain: StressScenario {
  /// As on the command line.
  public static let name = "proxy-chain"
  /// What it does, in one line.
  public static let summary =
    "a proxy chained to itself through a tiny pool; idle connections are stolen, purged, closed"

  private let chain: Chain
  private var stage: Stage { chain.stage }

  /// Makes the poller and the pool.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { chain = try Chain(stage) }

  /// Listens, and sends the first requests on their way.
  ///
  /// - Throws: what the kernel refuses.
  public func begin() throws { try chain.begin() }

  /// Every request that is under way is answered or has failed.
  public func calm() {
    stage.wait(
      for: "\(self.chain.requests.live) requests are neither answered nor failed",
      until: { chain.requests.live == 0 })
    stage.drainMail(of: chain.poller)
  }

  /// The pool's figures add up, and whatever it does not keep is closed.
  public func audit() {
    chain.auditPool()
    stage.auditSilence(of: chain.poller)
  }

  /// Closes the listeners and what is left.
  public func end() { chain.end() }
}

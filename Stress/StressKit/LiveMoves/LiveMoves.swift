import FDHTTP
import FDNet
import FDPoller
import ReverseProxy

/// Clients of a reverse proxy that are moved between its loops all the time, between two requests,
/// as are the proxy's own connections to its origins, which take every chance to be used again.
public final class LiveMoves: StressScenario {
  /// As on the command line.
  public static let name = "live-moves"
  /// What it does, in one line.
  public static let summary =
    "HTTP clients of a reverse proxy are moved between loops; none loses an answer or gets another's"

  private let crossing: Crossing
  private var stage: Stage { crossing.stage }
  private let before = LiveMoves.objects

  /// Makes the poller.
  ///
  /// - Throws: `PollerError.invalidConfiguration` with what to change, or `kernelRefused`.
  public init(_ stage: Stage) throws { crossing = try Crossing(stage) }

  /// Starts origins, proxy, clients, and who moves them.
  ///
  /// - Throws: what the kernel refuses.
  public func begin() throws { try crossing.begin() }

  /// Every request has its answer.
  public func calm() {
    stage.wait(
      for: "\(self.crossing.requests.live) requests have no answer",
      until: { stage.violations.count > 0 || crossing.requests.live == 0 })
    stage.drainMail(of: crossing.poller)
  }

  /// Each request has arrived once.
  public func audit() { crossing.audit() }

  /// Drains everything, which leaves nobody behind.
  public func end() {
    crossing.end()
    if stage.parameters.countsDescriptors && stage.violations.count == 0,
      !stage.comes({ Self.objects == before })
    {
      stage.violate("sessions and connections are released", "\(Self.objects), before \(before)")
    }
  }

  private static var objects: [Int] { [ProxySession.liveCount, HTTPServerConnection.liveCount] }
}

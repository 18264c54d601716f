import FDNet
import FDPoller
import Glibc
import Logging
import Synchronization

/// A proxy as a process: from its start, through its signals, to its end.
///
/// | signal          | first time                                             | again        |
/// |-----------------|--------------------------------------------------------|--------------|
/// | SIGTERM, SIGINT | drains: ends with the last session, or after drainTime | ends at once |
/// | SIGUSR1         | prints the counters                                    | the same     |
final class Lifetime: Sendable {
  private let proxy: TCPProxy
  private let end: Latch
  private let isDraining = Atomic(false)

  private init(_ proxy: TCPProxy, _ end: Latch) {
    self.proxy = proxy
    self.end = end
  }

  /// Runs a proxy until a signal ends it. On the main thread, before there are others.
  ///
  /// - Parameter whenListening: told where.
  static func run(
    _ configuration: ProxyConfiguration, _ pollerConfiguration: PollerConfiguration,
    _ logger: Logger, whenListening: ([String]) -> Void = { _ in }
  ) throws {
    // A log reader that has gone away is no reason to end.
    signal(SIGPIPE, SIG_IGN)
    let end = Latch()
    let poller = try Poller(pollerConfiguration)
    let proxy = TCPProxy(configuration, on: poller, logger) { end.open() }
    let lifetime = Lifetime(proxy, end)
    try poller.start()
    do {
      try SignalSource.open([SIGTERM, SIGINT, SIGUSR1], on: poller.loops[0]) {
        lifetime.received($0)
      }
      let addresses = try proxy.listen().map(\.description)
      for address in addresses { logger.info("listening", metadata: ["address": "\(address)"]) }
      whenListening(addresses)
      end.wait(atMost: nil)
    } catch {
      try poller.stop()
      throw error
    }
    let cut = proxy.sessions
    if cut > 0 { logger.warning("sessions are cut off", metadata: ["count": "\(cut)"]) }
    try poller.stop()
    logger.info("stopped")
  }

  /// On the first loop.
  private func received(_ signal: CInt) {
    switch signal {
    case SIGUSR1:
      StandardStream.error.write(proxy.report)
    case _ where isDraining.exchange(true, ordering: .relaxed):
      proxy.logger.notice("ending at once")
      end.open()
    default:
      let limit = proxy.configuration.drainTime
      proxy.logger.notice(
        "draining; another signal ends at once",
        metadata: ["sessions": "\(proxy.sessions)", "limit": "\(limit)"])
      EventLoop.current?.schedule(after: limit) { self.end.open() }
      proxy.drain()
    }
  }
}

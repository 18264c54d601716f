import FDHTTP
import FDNet
import FDPoller
import Glibc
import Logging
import ReverseProxy

/// Two origins and the proxy in front of them.
final class DemoStage {
  private let origins: [DemoOrigin]
  private let poller: Poller
  let proxy: HTTPProxy
  private let drained: Latch
  let proxyAddress: SocketAddress
  var originAddresses: [SocketAddress] { origins.map(\.address) }
  var proxyThreads: Int { poller.loops.count }

  init(waitingWith io: IOBackend) throws {
    origins = try ["origin-a", "origin-b"].map { try DemoOrigin(named: $0, waitingWith: io) }
    poller = try Poller(Self.pollerConfiguration(waitingWith: io))
    let drained = Latch()
    self.drained = drained
    proxy = HTTPProxy(
      Self.proxyConfiguration(origins: origins.map(\.address)), on: poller,
      .toStandardError(label: "fdproxy", level: .error)
    ) { drained.open() }
    try poller.start()
    do {
      proxyAddress = try proxy.listen()[0]
    } catch {
      try poller.stop()
      for origin in origins { origin.stop() }
      throw error
    }
  }

  static func pollerConfiguration(waitingWith io: IOBackend) -> PollerConfiguration {
    // More threads than a small machine has processors: that is where the races are.
    var configuration = PollerConfiguration(threads: 4)
    configuration.io = io
    configuration.name = "fdproxy"
    configuration.logger = .toStandardError(label: "fd-poller", level: .error)
    return configuration
  }

  static func proxyConfiguration(origins: [SocketAddress]) -> HTTPProxyConfiguration {
    let group = BackendGroupConfiguration(name: "origins", backends: origins.map(NamedAddress.init))
    var configuration = HTTPProxyConfiguration(
      listen: [NamedAddress(.loopback(port: 0))], groups: [group])
    configuration.pool.reuse = .always
    configuration.drainTime = .seconds(5)
    return configuration
  }

  var snapshot: PollerSnapshot { poller.snapshot() }
  var pool: PoolStatistics { proxy.plan.pool.statistics }

  /// Drains and stops everything.
  ///
  /// - Parameters:
  ///   - load: which has finished.
  ///   - unfinished: how many of its connections have not.
  func close(_ load: Load, unfinished: Int) throws -> Bill {
    let accepted = proxy.listenerStatistics.reduce(0) { $0 + $1.statistics.accepted }
    proxy.drain()
    // What is left after that shows in the bill.
    drained.wait(atMost: .seconds(10))
    try load.stop()
    try poller.stop()
    for origin in origins { origin.stop() }
    return Bill(
      load: load.count, unfinished: unfinished, accepted: accepted, pool: pool,
      http: proxy.service.statistics, retries: proxy.counts.reduce(0) { $0 + $1.retries.current },
      originRequests: origins.reduce(0) { $0 + $1.statistics.requests },
      poller: poller.snapshot().total, liveDescriptors: poller.snapshot().liveDescriptors)
  }
}

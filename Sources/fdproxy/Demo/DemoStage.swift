import FDNet
import FDPoller
import Glibc
import Logging

/// The echo server that the demo's proxy forwards to.
final class Origin {
  private let poller: Poller
  private let listener: Listener
  var address: SocketAddress { listener.address }

  init() throws {
    var configuration = PollerConfiguration(threads: 1)
    configuration.name = "origin"
    configuration.logger = .toStandardError(label: "origin", level: .error)
    poller = try Poller(configuration)
    try poller.start()
    do {
      listener = try Listener(.loopback(port: 0), on: poller) { _ in Echo() }
    } catch {
      try? poller.stop()
      throw error
    }
  }

  func stop() {
    listener.close()
    try? poller.stop()
  }
}

/// Sends everything back.
private final class Echo: ConnectionHandler {
  func received(_ bytes: RawSpan, on connection: Connection) {
    if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
  }

  func drained(_ connection: Connection) { connection.resumeReading() }
}

/// The origin and the proxy in front of it.
final class DemoStage {
  private let origin: Origin
  private let poller: Poller
  private let proxy: TCPProxy
  private let drained: Latch
  let proxyAddress: SocketAddress
  var originAddress: SocketAddress { origin.address }
  var proxyThreads: Int { poller.loops.count }
  var spares: Int { proxy.configuration.spares }

  init(waitingWith io: IOBackend) throws {
    origin = try Origin()
    poller = try Poller(Self.pollerConfiguration(waitingWith: io))
    let drained = Latch()
    self.drained = drained
    proxy = TCPProxy(
      Self.proxyConfiguration(listen: .loopback(port: 0), origin: origin.address), on: poller,
      .toStandardError(label: "fdproxy", level: .error)
    ) { drained.open() }
    try poller.start()
    do {
      proxyAddress = try proxy.listen()[0]
    } catch {
      try poller.stop()
      origin.stop()
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

  static func proxyConfiguration(
    listen: SocketAddress, origin: SocketAddress
  ) -> ProxyConfiguration {
    var configuration = ProxyConfiguration(
      listen: [NamedAddress(listen)], backends: [NamedAddress(origin)])
    configuration.spares = 24
    configuration.drainTime = .seconds(5)
    return configuration
  }

  var snapshot: PollerSnapshot { poller.snapshot() }
  var sessions: Int { proxy.sessions }
  /// Connections to the origin that one loop has taken over from another.
  var takenOver: Int { proxy.spares?.statistics.takenOver ?? 0 }

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
    origin.stop()
    return Bill(
      load: load.count, unfinished: unfinished, accepted: accepted,
      spares: proxy.spares?.statistics, proxy: poller.snapshot().total,
      liveDescriptors: poller.snapshot().liveDescriptors)
  }
}

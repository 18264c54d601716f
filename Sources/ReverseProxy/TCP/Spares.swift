package import FDNet
import FDPoller
import Logging
import Synchronization

/// Connections to the backends that are open before a client needs one, in a pool that all loops
/// share: a client is forwarded at once, and a loop without a spare of its own takes one over from
/// another loop.
///
/// Every spare that is taken is replaced by one on the taker's loop, so they gather where they are
/// needed. Once a second one loop looks what is missing otherwise.
package final class Spares: Sendable {
  private let pool: ConnectionPool
  private let poller: Poller
  private let endpoints: [Endpoint]
  /// For each endpoint.
  private let wanted: Int
  private let connectTimeout: Duration?
  private let logger: Logger
  private let turn = Atomic(0)
  private let isClosed = Atomic(false)

  private static let round = Duration.seconds(1)

  init(
    on poller: Poller, _ endpoints: [Endpoint], _ configuration: TCPProxyConfiguration,
    _ logger: Logger
  ) {
    self.poller = poller
    self.endpoints = endpoints
    wanted = configuration.spares
    connectTimeout = configuration.connectTimeout
    self.logger = logger
    var limits = PoolLimits()
    limits.idlePerDestination = wanted * poller.loops.count
    limits.idleInAll = wanted * endpoints.count
    // A server may speak first; its greeting waits for the client.
    limits.keepsUnsolicitedBytes = true
    // Half of those that nobody needed are renewed, so that none goes stale unnoticed.
    limits.purgeInterval = .seconds(60)
    limits.idleTime = .seconds(600)
    // They are few beside the sessions, which may well use up most descriptors.
    limits.lowDescriptorRatio = 0.9
    limits.highDescriptorRatio = 0.95
    pool = ConnectionPool(on: poller, limits: limits, settings: configuration.serverSettings)
  }

  package var statistics: PoolStatistics { pool.statistics }

  /// Opens the first ones, and sees to it from then on. The poller is started.
  func begin() {
    poller.loops[0].run { self.replenish() }
  }

  /// A spare if there is one, from here on the calling loop's; the caller sets its handler at once.
  func take(_ endpoint: Endpoint, on loop: EventLoop) -> Connection? {
    guard let connection = pool.takeIdle(endpoint.address, on: loop) else { return nil }
    open(endpoint, on: loop)
    return connection
  }

  /// Closes them all. Callable from any thread.
  func close() {
    isClosed.store(true, ordering: .relaxed)
    pool.close()
  }

  private func replenish() {
    guard !isClosed.load(ordering: .relaxed), let loop = EventLoop.current else { return }
    for endpoint in endpoints {
      let missing =
        wanted - pool.idleCount(to: endpoint.address)
        - endpoint.sparesInTheMaking.load(ordering: .relaxed)
      for _ in 0..<max(0, missing) {
        let turn = turn.wrappingAdd(1, ordering: .relaxed).oldValue
        let maker = poller.loops[Int(UInt(bitPattern: turn) % UInt(poller.loops.count))]
        endpoint.sparesInTheMaking.add(1, ordering: .relaxed)
        if !maker.run({ self.make(endpoint, on: maker) }) {
          endpoint.sparesInTheMaking.subtract(1, ordering: .relaxed)
        }
      }
    }
    loop.schedule(after: Self.round) { self.replenish() }
  }

  private func open(_ endpoint: Endpoint, on loop: EventLoop) {
    guard !isClosed.load(ordering: .relaxed) else { return }
    endpoint.sparesInTheMaking.add(1, ordering: .relaxed)
    make(endpoint, on: loop)
  }

  /// One that is counted as in the making. On the loop.
  private func make(_ endpoint: Endpoint, on loop: EventLoop) {
    pool.open(endpoint.address, on: loop, deadline: connectTimeout) { [self] result in
      switch result {
      case .success(let connection):
        pool.checkIn(connection)
      case .failure(let error):
        logger.debug("no spare connection", metadata: ["error": "\(error)"])
      }
      endpoint.sparesInTheMaking.subtract(1, ordering: .relaxed)
    }
  }
}

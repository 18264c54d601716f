package import FDHTTP
package import FDNet
package import FDPoller
import Glibc
package import Logging
import Synchronization

/// Takes clients at its addresses and answers their requests with what its backends answer, on the
/// loops of a poller, which share one pool of connections to the backends.
///
/// Callable from any thread, except where it says otherwise.
package final class HTTPProxy: Sendable {
  package let poller: Poller
  package let service: HTTPService
  package let logger: Logger
  /// One per loop, at its index.
  let loops: [ProxyLoop]
  /// Nil without one.
  package let log: AccessLog?
  private let clients: ClientLimits
  private let warnings: WarningLog
  let shared: Locked<Shared>
  /// When it was made, in seconds since the beginning of 1970.
  let startTime = time(nil)
  /// What keeps a drain from ending: the clients, and one for the open door.
  private let holds = Atomic(1)
  private let whenDrained: @Sendable () -> Void

  /// What a reload changes.
  struct Shared {
    var plan: ProxyPlan
    var listeners: [OpenListener] = []
    var health: HealthChecker?
    /// Nil without one.
    var admin: Admin?
    var isDraining = false
  }

  /// A listener and the addresses in the configuration that it belongs to.
  struct OpenListener {
    let named: NamedAddress
    let listener: Listener
  }

  /// - Parameters:
  ///   - configuration: checked.
  ///   - poller: it need not be started yet.
  ///   - log: with a lane for each loop; the caller closes it when the poller has stopped.
  ///   - whenDrained: called once, on any thread, when a drain has found its end.
  package init(
    _ configuration: HTTPProxyConfiguration, on poller: Poller, log: AccessLog? = nil,
    _ logger: Logger, whenDrained: @escaping @Sendable () -> Void
  ) {
    self.poller = poller
    self.logger = logger
    self.whenDrained = whenDrained
    self.log = log
    let warnings = WarningLog(logger)
    self.warnings = warnings
    clients = ClientLimits()
    let plan = ProxyPlan(configuration, Self.makePool(configuration, on: poller))
    let loops = poller.loops.map { _ in ProxyLoop(plan) }
    self.loops = loops
    shared = Locked(Shared(plan: plan))
    service = HTTPService(
      on: poller, settings: configuration.serverSettings, saysContinue: false
    ) { violation, connection in
      let client = connection.connection.peerAddress
      warnings.warn(
        "a request is refused",
        [
          "client": "\(client, default: "?")", "status": "\(violation.status.rawValue)",
          "reason": "\(violation)",
        ])
      let index = connection.connection.loop.index
      loops[index].counts.refusedHeads.add(1)
      loops[index].counts.noteOwnAnswer(violation.status)
      guard let log, let client else { return }
      var record = AccessRecord(client: client)
      record.status = violation.status.rawValue
      log.lanes[index].append(record)
    }
  }

  static func makePool(
    _ configuration: HTTPProxyConfiguration, on poller: Poller
  ) -> ConnectionPool {
    ConnectionPool(
      on: poller, limits: configuration.pool,
      settings: ConnectionSettings(writeDeadline: configuration.timeouts.server))
  }

  /// What requests are dealt with by, from the next one on.
  package var plan: ProxyPlan { shared.withLock(\.plan) }

  package var counts: [ProxyCounts] { loops.map(\.counts) }

  /// Clients that are connected.
  package var clientCount: Int { clients.count }

  func state(of loop: EventLoop) -> ProxyLoop { loops[loop.index] }

  func warn(_ text: Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata) {
    warnings.warn(text, metadata())
  }
}

// MARK: - Clients

extension HTTPProxy {
  /// Begins to take clients. The poller is started.
  ///
  /// - Parameter takeover: where it has sockets for an address, these are gone on with. The others
  ///   stay with it.
  /// - Returns: where, with the ports that the kernel has chosen.
  /// - Throws: `ListenError`; what was opened before is closed when the poller stops.
  package func listen(after takeover: Takeover? = nil) throws(ListenError) -> [SocketAddress] {
    let plan = plan
    for named in plan.configuration.listen {
      let opened = try open(named, plan.configuration, after: takeover)
      shared.withLock { $0.listeners += opened }
    }
    let admin = try openAdmin(plan.configuration, after: takeover)
    let checker = HealthChecker(plan, on: poller, logger)
    shared.withLock {
      $0.health = checker
      $0.admin = admin
    }
    checker.begin()
    return shared.withLock { $0.listeners.map(\.listener.address) }
  }

  /// Nil if the configuration has none.
  func openAdmin(
    _ configuration: HTTPProxyConfiguration, after takeover: Takeover? = nil
  ) throws(ListenError) -> Admin? {
    guard let named = configuration.admin else { return nil }
    let admin = try Admin(named, of: self, after: takeover)
    for address in admin.addresses {
      logger.info("the admin address", metadata: ["address": "\(address)"])
    }
    return admin
  }

  func open(
    _ named: NamedAddress, _ configuration: HTTPProxyConfiguration, after takeover: Takeover? = nil
  ) throws(ListenError) -> [OpenListener] {
    let settings = ConnectionSettings(writeDeadline: configuration.timeouts.clientBody)
    return try named.listen { (address) throws(ListenError) in
      try Listener(
        takeover, address, on: poller, sharing: configuration.sharing, settings: settings
      ) { [weak self] in self?.accept($0) ?? nil }
    }.map { OpenListener(named: named, listener: $0) }
  }

  /// Turns a client into a session. On the client's loop.
  private func accept(_ client: Connection) -> (any ConnectionHandler)? {
    guard let address = client.peerAddress else { return nil }
    let configuration = loops[client.loop.index].plan.configuration
    if configuration.expectsProxyHeader && configuration.trust.contains(address) {
      return ProxyHeaderGate(client, from: address, to: self)
    }
    return begin(client, from: address)
  }

  /// Speaks HTTP with a client. On the client's loop.
  ///
  /// - Returns: nil if it is one too many, or comes after the end of a drain.
  func begin(_ client: Connection, from address: SocketAddress) -> HTTPServerConnection? {
    guard holdUnlessDrained() else { return nil }
    let state = loops[client.loop.index]
    let configuration = state.plan.configuration
    if let refusal = clients.admit(address, configuration.limits) {
      state.counts.clientsTurnedAway.add(1)
      warn("a client is turned away", ["client": "\(address)", "limit": "\(refusal)"])
      release()
      return nil
    }
    let session = ProxySession(
      self, on: state, client: address, isTrusted: configuration.trust.contains(address))
    return service.serve(client, session)
  }

  /// On the loop that the client was on last.
  func clientIsGone(_ session: ProxySession) {
    clients.release(session.address, session.admission)
    release()
  }

  /// A drain goes on until the same number of `release()`.
  func hold() { holds.add(1, ordering: .relaxed) }

  /// - Returns: false if a drain has found its end.
  private func holdUnlessDrained() -> Bool {
    var count = holds.load(ordering: .relaxed)
    while count > 0 {
      let result = holds.compareExchange(
        expected: count, desired: count + 1, ordering: .relaxed)
      if result.exchanged { return true }
      count = result.original
    }
    return false
  }

  func release() {
    guard holds.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    // Last, so that a drain can be watched.
    shared.withLock(\.admin)?.close()
    whenDrained()
  }

  package var listenerStatistics: [(address: SocketAddress, statistics: Listener.Statistics)] {
    shared.withLock { $0.listeners.map { ($0.listener.address, $0.listener.statistics) } }
  }

  /// Where clients are accepted.
  var listenerAddresses: [SocketAddress] {
    shared.withLock { $0.listeners.map(\.listener.address) }
  }

  /// Where the admin server listens; empty without one.
  package var adminAddresses: [SocketAddress] {
    shared.withLock(\.admin)?.addresses ?? []
  }

  /// Takes no more clients. Requests that have begun are answered; connections are closed between
  /// two requests. Called once.
  package func drain() { drain { $0.close($1) } }

  /// Begins to drain.
  ///
  /// - Parameter leave: ends one listener, and calls what it is given when it accepts nobody any
  ///   more.
  func drain(_ leave: (Listener, @escaping @Sendable () -> Void) -> Void) {
    let (listeners, health) = shared.withLock { shared in
      shared.isDraining = true
      return (shared.listeners, shared.health)
    }
    health?.stop()
    for open in listeners {
      hold()
      leave(open.listener) { self.release() }
    }
    for loop in poller.loops {
      hold()
      let isRunning = loop.run {
        self.service.drain()
        self.release()
      }
      if !isRunning { release() }
    }
    plan.pool.close()
    release()
  }
}

extension HTTPProxyConfiguration {
  var serverSettings: HTTPServerSettings {
    var settings = HTTPServerSettings()
    settings.limits.startLineBytes = limits.requestLineBytes
    settings.limits.headBytes = limits.headBytes
    settings.limits.fields = limits.fields
    settings.headTimeout = timeouts.clientHeader
    settings.bodyTimeout = timeouts.clientBody
    settings.keepAliveTimeout = timeouts.keepAlive
    return settings
  }
}

import FDNet
import FDPoller
import Logging
import Synchronization
import SystemPackage

/// Takes clients at its addresses and forwards each to a backend, on the loops of a poller.
///
/// Callable from any thread, except where it says otherwise.
final class TCPProxy: Sendable {
  let configuration: ProxyConfiguration
  let poller: Poller
  let balancer: Balancer
  let spares: Spares?
  let clientSettings: ConnectionSettings
  let serverSettings: ConnectionSettings
  let logger: Logger
  private let listeners = Mutex<[Listener]>([])
  private let warnings = Throttle()

  private let openSessions = Atomic(0)
  /// What keeps a drain from ending: the sessions, and one for the open door.
  private let holds = Atomic(1)
  private let whenDrained: @Sendable () -> Void

  /// - Parameters:
  ///   - poller: it need not be started yet.
  ///   - whenDrained: called once, on any thread, when a drain has found its end.
  init(
    _ configuration: ProxyConfiguration, on poller: Poller, _ logger: Logger,
    whenDrained: @escaping @Sendable () -> Void
  ) {
    self.configuration = configuration
    self.poller = poller
    self.logger = logger
    self.whenDrained = whenDrained
    let backends = configuration.backends.map(Backend.init)
    balancer = Balancer(backends, configuration.balance)
    clientSettings = configuration.clientSettings
    serverSettings = configuration.serverSettings
    spares =
      configuration.spares == 0
      ? nil : Spares(on: poller, backends.flatMap(\.endpoints), configuration, logger)
  }

  /// Begins to take clients. The poller is started.
  ///
  /// - Returns: where, with the ports that the kernel has chosen.
  /// - Throws: `ListenError`; what was opened before is closed when the poller stops.
  func listen() throws(ListenError) -> [SocketAddress] {
    spares?.begin()
    for address in configuration.listen { try listen(at: address) }
    return listeners.withLock { $0.map(\.address) }
  }

  /// Of the addresses of a host name those count that this machine has.
  private func listen(at named: NamedAddress) throws(ListenError) {
    var missing: ListenError?
    var count = 0
    for address in named.addresses {
      do {
        let listener = try Listener(
          address, on: poller, sharing: configuration.sharing, settings: clientSettings
        ) { [weak self] in self?.accept($0) ?? nil }
        listeners.withLock { $0.append(listener) }
        count += 1
      } catch {
        switch error.cause {
        case .refused(.addressNotAvailable), .refused(.addressFamilyNotSupported): missing = error
        default: throw error
        }
      }
    }
    if count == 0, let missing { throw missing }
  }

  /// Turns a client into a session. On the client's loop.
  private func accept(_ client: Connection) -> (any ConnectionHandler)? {
    let count = openSessions.add(1, ordering: .relaxed).newValue
    if let most = configuration.maximumSessions, count > most {
      openSessions.subtract(1, ordering: .relaxed)
      warn("a client is turned away: there are as many as --max-connections allows", [:])
      return nil
    }
    holds.add(1, ordering: .relaxed)
    let session = Session(client, of: self)
    session.begin()
    return session
  }

  /// How many there are.
  var sessions: Int { openSessions.load(ordering: .relaxed) }

  var listenerStatistics: [(address: SocketAddress, statistics: Listener.Statistics)] {
    listeners.withLock { $0.map { ($0.address, $0.statistics) } }
  }

  /// Logs a warning, unless many were logged in the same second: a backend that is down makes one
  /// for each client.
  func warn(_ text: Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata) {
    guard let suppressed = warnings.admit() else { return }
    logger.warning(text, metadata: metadata())
    if suppressed > 0 {
      logger.warning("earlier warnings were left out", metadata: ["count": "\(suppressed)"])
    }
  }
}

// MARK: - Draining

extension TCPProxy {
  func sessionEnded() {
    openSessions.subtract(1, ordering: .relaxed)
    release()
  }

  /// Takes no more clients; those that have connected already are still served. Called once.
  func drain() {
    spares?.close()
    for listener in listeners.withLock(\.self) { listener.close() }
    // A loop that answers has accepted what its listeners still had.
    for loop in poller.loops {
      holds.add(1, ordering: .relaxed)
      if !loop.run({ self.release() }) { release() }
    }
    release()
  }

  private func release() {
    if holds.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { whenDrained() }
  }
}

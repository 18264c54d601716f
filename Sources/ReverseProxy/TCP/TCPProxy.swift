package import FDNet
package import FDPoller
package import Logging
import Synchronization
import SystemPackage

/// Takes clients at its addresses and forwards each to a backend, on the loops of a poller.
///
/// Callable from any thread, except where it says otherwise.
package final class TCPProxy: Sendable {
  package let configuration: TCPProxyConfiguration
  package let poller: Poller
  package let balancer: Balancer
  package let spares: Spares?
  let clientSettings: ConnectionSettings
  let serverSettings: ConnectionSettings
  package let logger: Logger
  private let listeners = Locked<[Listener]>([])
  private let warnings: WarningLog

  private let openSessions = Atomic(0)
  /// What keeps a drain from ending: the sessions, and one for the open door.
  private let holds = Atomic(1)
  private let whenDrained: @Sendable () -> Void

  /// - Parameters:
  ///   - poller: it need not be started yet.
  ///   - whenDrained: called once, on any thread, when a drain has found its end.
  package init(
    _ configuration: TCPProxyConfiguration, on poller: Poller, _ logger: Logger,
    whenDrained: @escaping @Sendable () -> Void
  ) {
    self.configuration = configuration
    self.poller = poller
    self.logger = logger
    warnings = WarningLog(logger)
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
  package func listen() throws(ListenError) -> [SocketAddress] {
    spares?.begin()
    for named in configuration.listen {
      let opened = try named.listen { (address) throws(ListenError) in
        try Listener(
          address, on: poller, sharing: configuration.sharing, settings: clientSettings
        ) { [weak self] in self?.accept($0) ?? nil }
      }
      listeners.withLock { $0 += opened }
    }
    return listeners.withLock { $0.map(\.address) }
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
  package var sessions: Int { openSessions.load(ordering: .relaxed) }

  package var listenerStatistics: [(address: SocketAddress, statistics: Listener.Statistics)] {
    listeners.withLock { $0.map { ($0.address, $0.statistics) } }
  }

  func warn(_ text: Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata) {
    warnings.warn(text, metadata())
  }
}

// MARK: - Draining

extension TCPProxy {
  func sessionEnded() {
    openSessions.subtract(1, ordering: .relaxed)
    release()
  }

  /// Takes no more clients; those that have connected already are still served. Called once.
  package func drain() {
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

import FDCoordination
import FDNet
import FDPoller
import Logging
import Synchronization

/// Where agents register: greeting, authorisation, and then the session until its end.
final class Reception: Sendable {
  /// How long an agent may take to say who it is, and to read why it is refused.
  private static let patience = Duration.seconds(10)
  /// How many agents may be on their way to a session, or be told why they get none, at a time.
  private static let mostGuests = 512

  private let registry: SessionRegistry<SessionID, AgentSession>
  private let gatekeeper: Gatekeeper
  private let logger: Logger
  /// Of agents that do not become a session: anybody can connect.
  private let warnings: WarningLog
  private let settings: MultiplexedSettings
  /// Those that are on their way to a session, or are told why they get none.
  private let guests = Mutex<[ObjectIdentifier: MultiplexedConnection]>([:])
  /// Connections of agents, whether or not they are registered.
  private let links: Census

  init(
    _ registry: SessionRegistry<SessionID, AgentSession>, _ gatekeeper: Gatekeeper,
    heartbeat: Duration, links: Census, _ logger: Logger
  ) {
    self.registry = registry
    self.gatekeeper = gatekeeper
    self.links = links
    self.logger = logger
    warnings = WarningLog(logger)
    // An agent opens one stream, and says little on it.
    settings = MultiplexedSettings(
      window: Carrier.window, sendBuffer: Carrier.sendBuffer, peerStreams: 1, backlog: 1,
      heartbeat: HeartbeatSettings(interval: heartbeat, timeout: heartbeat))
  }

  /// An agent has connected. On the connection's loop.
  ///
  /// - Returns: who gets its events; nil turns it away.
  func receive(_ connection: Connection) -> (any ConnectionHandler)? {
    guard guests.withLock({ $0.count }) < Self.mostGuests, links.enter() else { return nil }
    let link = MultiplexedConnection(connection, role: .server, settings: settings)
    let peer = connection.peerAddress.map { "\($0)" } ?? "unknown"
    guests.withLock { $0[ObjectIdentifier(link)] = link }
    Task(executorPreference: connection.loop) {
      await self.serve(link, peer)
      self.links.leave()
    }
    return link.handler
  }

  /// Ends what is on its way to a session, and the checks that go with it.
  func dismissGuests() {
    for link in guests.withLock({ Array($0.values) }) { link.close() }
  }

  private nonisolated(nonsending) func serve(_ link: MultiplexedConnection, _ peer: String) async {
    var control: MultiplexedStream?
    do {
      let (session, registration) = try await register(link, peer, &control)
      defer { registry.remove(registration) }
      guard let control else { preconditionFailure("it has shown its token on it") }
      forget(link)
      try await attend(session, control, registration, link)
    } catch let refusal as Refusal {
      let reason = refusal.cause ?? refusal.description
      warnings.warn("agent refused", ["peer": "\(peer)", "reason": "\(reason)"])
      await say(refusal, on: control, link)
    } catch {
      warnings.warn("agent gave up", ["peer": "\(peer)", "reason": "\(error)"])
    }
    link.close()
    forget(link)
  }

  /// It is no guest any more.
  private func forget(_ link: MultiplexedConnection) {
    guests.withLock { $0[ObjectIdentifier(link)] = nil }
  }

  // MARK: Registering

  private nonisolated(nonsending) func register(
    _ link: MultiplexedConnection, _ peer: String, _ control: inout MultiplexedStream?
  ) async throws -> (AgentSession, Registration<SessionID>) {
    let stream = try await Self.withPatience { try await link.accept() }
    guard let stream else { throw MultiplexedError.closedByPeer }
    control = stream
    let id = try Greeting(parsing: stream.opening).id
    let credential = Credential(id: id, token: try await token(stream))
    // Before the id is reserved: who has no valid token keeps nobody from his id.
    try await admit(credential, link)
    do {
      let session = AgentSession(id, peer, link)
      return (session, try registry.reserve(id).activate(session))
    } catch {
      throw Refusal.forNow("\(error)")
    }
  }

  private nonisolated(nonsending) func token(
    _ stream: MultiplexedStream
  ) async throws -> AgentToken {
    let bytes = try await Self.withPatience { () async throws -> [UInt8]? in
      try await stream.receivePart()
    }
    guard let token = AgentToken(bytes ?? []) else { throw Refusal.forGood(AgentToken.rule) }
    return token
  }

  private nonisolated(nonsending) static func withPatience<Result>(
    _ body: nonisolated(nonsending) @escaping () async throws -> Result
  ) async throws -> Result {
    do {
      return try await withDeadline(patience, body)
    } catch is DeadlineExceeded {
      throw Refusal.forNow("the agent has said nothing for \(patience)")
    }
  }

  /// Asks the gatekeeper, for as long as the agent is there.
  private nonisolated(nonsending) func admit(
    _ credential: Credential, _ link: MultiplexedConnection
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [gatekeeper] in try await gatekeeper.admit(credential) }
      group.addTask { throw try await link.ended() }
      defer { group.cancelAll() }
      try await group.next()
    }
  }

  private nonisolated(nonsending) func say(
    _ refusal: Refusal, on control: MultiplexedStream?, _ link: MultiplexedConnection
  ) async {
    guard let control else { return }
    _ = try? control.trySend(Verdict.refused(refusal).bytes)
    // Whatever else it sends is dropped.
    control.close()
    // It closes when it has read that.
    _ = try? await withDeadline(Self.patience) { try await link.ended() }
  }

  // MARK: The session

  private nonisolated(nonsending) func attend(
    _ session: AgentSession, _ control: MultiplexedStream,
    _ registration: Registration<SessionID>, _ link: MultiplexedConnection
  ) async throws {
    let metadata: Logger.Metadata = ["id": "\(session.id)", "peer": "\(session.peer)"]
    try await control.send(Verdict.welcome.bytes)
    logger.info("agent registered", metadata: metadata)
    let end = try await withThrowingTaskGroup(of: MultiplexedError?.self) { group in
      group.addTask { try await link.ended() }
      group.addTask { [registry] in
        // It says nothing but its end, which is that it wants no more clients.
        while let part = try? await control.receivePart() {
          if !part.isEmpty { return .malformed(.outOfOrder) }
        }
        guard !session.isClosed else { return nil }
        registry.remove(registration)
        control.finish()
        session.retire()
        return nil
      }
      defer { group.cancelAll() }
      while let end = try await group.next() {
        if let end { return end }
      }
      return .closed
    }
    switch end {
    case .closed, .closedByPeer: logger.info("agent has left", metadata: metadata)
    default:
      logger.error(
        "agent has vanished, its clients are reset",
        metadata: metadata.merging(["reason": "\(end)"]) { $1 })
    }
  }
}

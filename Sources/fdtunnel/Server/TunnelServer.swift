import FDAsync
import FDCoordination
import FDNet
import FDPoller
import Logging
import Synchronization

/// Takes agents at one address and clients at others, and brings them together.
final class TunnelServer: RunningTunnel {
  private let settings: ServerSettings
  private let poller: Poller
  private let ending: Ending
  private let logger: Logger
  private let warnings: WarningLog
  private let registry = SessionRegistry<SessionID, AgentSession>()
  private let gatekeeper: Gatekeeper
  private let reception: Reception
  private let links = Census()
  private let clients = Census()
  private let state = Mutex(State())

  private struct State {
    var agents: Listener?
    var entrances: [AsyncListener] = []
    var tasks: [Task<Void, Never>] = []
  }

  init(_ settings: ServerSettings, on poller: Poller, _ ending: Ending, _ logger: Logger) throws {
    self.settings = settings
    self.poller = poller
    self.ending = ending
    self.logger = logger
    warnings = WarningLog(logger)
    let authority = try settings.authority(on: poller.loops[0])
    gatekeeper = Gatekeeper(
      authority, limit: settings.authorizeTimeout, memory: settings.authorizeMemory)
    reception = Reception(
      registry, gatekeeper, heartbeat: settings.heartbeat, links: links, logger)
  }

  var openStreams: Int { clients.count }

  func start() throws {
    let agents = try Listener(
      settings.agents, on: poller, settings: MultiplexedConnection.connectionSettings
    ) { [reception] in reception.receive($0) }
    state.withLock { $0.agents = agents }
    StandardStream.output.write("agents at \(agents.address)\n")
    for route in settings.routes {
      let entrance = try AsyncListener(
        route.address, on: poller, settings: Carrier.connectionSettings)
      let task = Task { [self] in
        await entrance.serve(onFailure: { [self] _, error in
          note(error, route)
        }) { [self] client in
          guard clients.enter() else { return }
          defer { clients.leave() }
          try await serve(client, route)
        }
      }
      state.withLock {
        $0.entrances.append(entrance)
        $0.tasks.append(task)
      }
      StandardStream.output.write("clients of \(route.name) at \(entrance.address)\n")
    }
    StandardStream.output.write("ready\n")
  }

  // MARK: Clients

  /// What becomes of a client, when that is not what it should be.
  private struct NoService: Error, CustomStringConvertible {
    let description: String
  }

  /// On the client's loop.
  private nonisolated(nonsending) func serve(
    _ client: AsyncConnection, _ route: Route
  ) async throws {
    Carrier.prepare(client)
    let address = client.connection.peerAddress.map { "\($0)" } ?? "unknown"
    let opening = StreamOpening(service: route.service, client: address)
    let end = ContinuousClock.now + settings.wait
    while true {
      // A session that has ended since it was found leaves the rest of the time for its successor.
      let session = try await session(for: route, until: end)
      let isDone = try await session.withStream(opening) { stream in
        try await Carrier.carry(client, stream)
        return true
      }
      if isDone != nil { return }
    }
  }

  private nonisolated(nonsending) func session(
    for route: Route, until end: ContinuousClock.Instant
  ) async throws -> AgentSession {
    do {
      return try await registry.session(for: route.id, deadline: end - .now)
    } catch .timedOut {
      throw NoService(description: "no agent \(route.id) has registered within \(settings.wait)")
    } catch .shutDown {
      throw NoService(description: "the server is ending")
    }
  }

  private func note(_ error: any Error, _ route: Route) {
    let reason =
      switch error {
      case MultiplexedError.resetByPeer(let code): StreamReset(rawValue: code)?.words ?? "\(error)"
      default: "\(error)"
      }
    let metadata: Logger.Metadata = ["route": "\(route.name)", "reason": "\(reason)"]
    // A connection that its owner has reset is his business.
    if error is ConnectionClosed {
      logger.debug("client is reset", metadata: metadata)
    } else {
      warnings.warn("client is reset", metadata)
    }
  }

  // MARK: The end

  func drain() {
    let (agents, entrances) = state.withLock { ($0.agents, $0.entrances) }
    agents?.close()
    for entrance in entrances { entrance.close() }
    reception.dismissGuests()
    clients.close { [links, gatekeeper, ending] in
      links.close { gatekeeper.close { ending.come() } }
    }
    // Whoever is registered is told, and closes when its last client has gone.
    registry.shutDown()
  }

  func cut() {
    for task in state.withLock(\.tasks) { task.cancel() }
  }
}

import FDAsync
import FDCoordination
import FDNet
import FDPoller
import Logging
import Synchronization

/// Dials a server, registers, and leads clients to its services; dials again when that ends.
final class TunnelAgent: RunningTunnel {
  private let settings: AgentSettings
  private let poller: Poller
  private let ending: Ending
  private let logger: Logger
  private let warnings: WarningLog
  private let services: LocalServices
  private let clients = Census()
  private let state = Mutex(State())
  private let nextLoop = Atomic(0)

  private struct State {
    var task: Task<Void, Never>?
    /// Of the session, once it is registered.
    var control: MultiplexedStream?
    var isLeaving = false
  }

  init(_ settings: AgentSettings, on poller: Poller, _ ending: Ending, _ logger: Logger) {
    self.settings = settings
    self.poller = poller
    self.ending = ending
    self.logger = logger
    warnings = WarningLog(logger)
    services = LocalServices(
      settings.services, limit: settings.limit, connectTimeout: settings.connectTimeout, logger)
  }

  var openStreams: Int { clients.count }

  func start() throws {
    let task = Task(executorPreference: poller.loops[0]) { await self.run() }
    state.withLock { $0.task = task }
  }

  private nonisolated(nonsending) func run() async {
    var pause = BackOff()
    (pause.first, pause.factor, pause.cap) = (settings.retry, 2, .seconds(30))
    var failures = 0
    while !state.withLock(\.isLeaving), !Task.isCancelled {
      do {
        try await attempt { failures = 0 }
      } catch let refusal as Refusal where !refusal.isForNow {
        let text = "\(settings.server) refuses agent \(settings.id): \(refusal.description)"
        return ending.come(.runtime(text))
      } catch {
        if Task.isCancelled { break }
        let reason = (error as? Refusal)?.description ?? "\(error)"
        logger.error(
          "no session", metadata: ["server": "\(settings.server)", "reason": "\(reason)"])
      }
      guard !state.withLock(\.isLeaving) else { break }
      failures += 1
      let delay = pause.delay(after: failures, chance: .random(in: 0...1))
      logger.info("dialling again", metadata: ["in": "\(delay)"])
      try? await poller.loops[0].sleep(for: delay)
    }
    await services.shutDown()
    ending.come()
  }

  // MARK: A session

  /// One session, from dialling to its end.
  ///
  /// - Parameter registered: called when the server has taken this agent.
  private nonisolated(nonsending) func attempt(_ registered: () -> Void) async throws {
    let link = try await dial()
    defer { link.close() }
    let control = try await register(link)
    registered()
    StandardStream.output.write("registered as \(settings.id) with \(settings.server)\n")
    let isLeaving = state.withLock { state in
      state.control = control
      return state.isLeaving
    }
    if isLeaving { control.finish() }
    defer { state.withLock { $0.control = nil } }
    try await serve(link)
    let end = try await link.ended()
    if end != .closedByPeer || !state.withLock(\.isLeaving) { throw end }
  }

  private nonisolated(nonsending) func dial() async throws -> MultiplexedConnection {
    let addresses = try await Resolver.resolve(settings.server, within: settings.connectTimeout)
    let multiplexing = MultiplexedSettings(
      window: Carrier.window, sendBuffer: Carrier.sendBuffer, peerStreams: settings.maxStreams,
      backlog: settings.maxStreams,
      heartbeat: HeartbeatSettings(interval: settings.heartbeat, timeout: settings.heartbeat))
    var last: (any Error)?
    for address in addresses {
      try Task.checkCancellation()
      do {
        return try await MultiplexedConnection.connect(
          to: address, on: poller.loops[0], deadline: settings.connectTimeout,
          settings: multiplexing)
      } catch {
        last = error
      }
    }
    throw last ?? Failure.runtime("\(settings.server) has no address")
  }

  private nonisolated(nonsending) func register(
    _ link: MultiplexedConnection
  ) async throws -> MultiplexedStream {
    let token = try AgentToken.read(settings.tokenPath)
    let control = try link.open(Greeting(settings.id).bytes)
    try await control.send(token.bytes)
    let verdict: Verdict?
    do {
      verdict = try await withDeadline(settings.registerTimeout) {
        Verdict(parsing: try await control.receivePart() ?? [])
      }
    } catch is DeadlineExceeded {
      throw Refusal.forNow("the server has not answered for \(settings.registerTimeout)")
    }
    switch verdict {
    case .welcome?: return control
    case .refused(let refusal)?: throw refusal
    case nil: throw Refusal.forNow("the server's answer is none that this release knows")
    }
  }

  // MARK: Clients

  /// Takes the streams that the server opens, until the link is over.
  private nonisolated(nonsending) func serve(_ link: MultiplexedConnection) async throws {
    await withDiscardingTaskGroup { group in
      while let stream = try? await link.accept() {
        let turn = nextLoop.add(1, ordering: .relaxed).oldValue
        let loop = poller.loops[turn % poller.loops.count]
        group.addTask(executorPreference: loop) { await self.serve(stream, on: loop) }
      }
      group.cancelAll()
    }
  }

  private nonisolated(nonsending) func serve(
    _ stream: MultiplexedStream, on loop: EventLoop
  ) async {
    guard clients.enter() else { return stream.reset(code: StreamReset.cutOff.rawValue) }
    defer { clients.leave() }
    guard let opening = StreamOpening(parsing: stream.opening) else {
      return stream.reset(code: StreamReset.unknownService.rawValue)
    }
    do {
      try await services.withConnection(to: opening.service, on: loop) { connection in
        try await connection.run { connection in
          Carrier.prepare(connection)
          try await Carrier.carry(connection, stream)
        }
      }
    } catch let error as LocalServices.Unavailable {
      stream.reset(code: error.reset.rawValue)
      warnings.warn(
        "no service for a client",
        [
          "client": "\(opening.client)", "service": "\(opening.service)", "reason": "\(error)",
        ])
    } catch {
      stream.reset(code: StreamReset.broken.rawValue)
      logger.debug(
        "client is reset", metadata: ["client": "\(opening.client)", "reason": "\(error)"])
    }
  }

  // MARK: The end

  /// Tells the server that no more clients are wanted; it closes the link behind the last one.
  func drain() {
    let (control, task) = state.withLock { state in
      state.isLeaving = true
      return (state.control, state.task)
    }
    if let control { control.finish() } else { task?.cancel() }
  }

  func cut() { state.withLock(\.task)?.cancel() }
}

/// All that an agent is told.
struct AgentSettings: Sendable {
  /// As it was written: it is looked up for each attempt.
  var server: String
  var id: SessionID
  var tokenPath: String
  var services: [SessionID: String]
  /// How many clients each service has at a time.
  var limit: Int
  /// How many clients there are at a time.
  var maxStreams: Int
  var heartbeat: Duration
  var connectTimeout: Duration
  /// How long the server may take to check the token.
  var registerTimeout: Duration
  /// How long it waits after the first failure to dial again.
  var retry: Duration
}

public import FDNet
public import FDPoller
import Synchronization

/// The server's end of an HTTP/1.1 connection: requests in, answers out, one exchange after the
/// other.
///
/// | phase    | what has come                              | what is waited for                     |
/// |----------|--------------------------------------------|----------------------------------------|
/// | idle     | nothing of the next request                | its first byte, for the keep-alive time |
/// | head     | a part of a head                           | the rest, for the head's time          |
/// | exchange | a head; perhaps a part of the body         | the body; the handler's answer         |
/// | tunnel   | whatever it is                             | nothing: handler and client agree      |
/// | closing  | nothing that matters                       | the close in order                     |
///
/// Requests that are sent ahead (pipelining) wait until the one before has been answered; reading
/// pauses meanwhile. What an event makes it send goes out in one write. Used on its loop only.
public final class HTTPServerConnection: ConnectionHandler, @unchecked Sendable {
  enum Phase { case idle, head, exchange, tunnel, closing }

  /// How far the answer is.
  enum Answer {
    case none
    /// The head is sent; so many bytes of the body are left.
    case length(UInt64)
    case chunked
    case untilClose
    /// The head says a length that no body follows.
    case bodiless
    case complete
  }

  /// What carries it.
  public let connection: Connection
  let service: HTTPService
  @exclusivity(unchecked) var state: HTTPLoopState
  @exclusivity(unchecked) var handler: any HTTPRequestHandler
  @exclusivity(unchecked) var phase = Phase.idle
  @exclusivity(unchecked) var answer = Answer.none
  @exclusivity(unchecked) var body = HTTPBodyReader(.length(0))
  /// The request is complete.
  @exclusivity(unchecked) var requestIsComplete = true
  /// Another exchange may follow this one.
  @exclusivity(unchecked) var keepsAlive = true
  /// The client has said that this is its last request, and nothing came after it.
  @exclusivity(unchecked) var clientIsDone = false
  @exclusivity(unchecked) var inputHasEnded = false
  @exclusivity(unchecked) var isHTTP10 = false
  @exclusivity(unchecked) var isHead = false
  /// A request has come.
  @exclusivity(unchecked) var isUsed = false
  /// `process` runs.
  @exclusivity(unchecked) var isProcessing = false
  /// The client may be waiting for `100 Continue`.
  @exclusivity(unchecked) var expectsContinue = false
  /// The handler wants no body for the moment.
  @exclusivity(unchecked) var bodyIsPaused = false
  /// The answer was cut off by `abort`.
  private var wasCutOff = false
  /// How often `hold` has been called and not `letGo`.
  @exclusivity(unchecked) var holds = 0
  /// Bytes of requests that could not be read yet.
  @exclusivity(unchecked) var pending: [UInt8] = []
  @exclusivity(unchecked) var timer = LazyTimer()
  /// What is due is the handler's affair.
  @exclusivity(unchecked) var deadlineIsHandlers = false
  /// The time for the next request has passed.
  @exclusivity(unchecked) var hasExpired = false
  /// Where it goes when it is idle, and whether it is under way.
  var destination: EventLoop?
  var isMoving = false
  var isLinked = false
  unowned(unsafe) var previous: HTTPServerConnection?
  unowned(unsafe) var next: HTTPServerConnection?

  init(_ connection: Connection, of service: HTTPService, _ handler: any HTTPRequestHandler) {
    self.connection = connection
    self.service = service
    self.handler = handler
    state = service.states[connection.loop.index]
    state.link(self)
    timer.set(after: state.timeouts.head, self, on: connection.loop)
    // Accepted from what a listener had when it was closed.
    if service.isDraining { closeIfIdle() }
    Self.live.add(1, ordering: .relaxed)
  }

  deinit { Self.live.subtract(1, ordering: .relaxed) }

  private static let live = Atomic(0)

  /// How many there are in this process. Callable from any thread.
  package static var liveCount: Int { live.load(ordering: .relaxed) }

  /// Reads heads on the connection's loop; what it has read last is forgotten by the next.
  package var reader: HTTPHeadReader { state.reader }

  // MARK: The connection's events

  /// Called by the connection.
  public func inputEnded(on connection: Connection) {
    inputHasEnded = true
    switch phase {
    case .idle, .head: close()
    case .exchange:
      keepsAlive = false
      if !requestIsComplete && pending.isEmpty { cancel(.truncated, status: .badRequest) }
    case .tunnel: handler.inputEnded(on: self)
    case .closing: break
    }
  }

  /// Called by the connection.
  public func drained(_ connection: Connection) {
    if phase == .exchange || phase == .tunnel { handler.drained(self) }
    guard phase == .idle else { return }
    if pending.isEmpty { connection.resumeReading() } else { processPending() }
  }

  /// Called by the connection.
  public func moved(_ connection: Connection) {
    state = service.states[connection.loop.index]
    state.link(self)
    state.counts.moves.add(1)
    handler.moved(self)
  }

  /// Called by the connection.
  public func closed(_ connection: Connection, _ reason: CloseReason) {
    timer.cancel(on: connection.loop)
    state.unlink(self)
    pending = []
    if phase == .exchange || wasCutOff {
      phase = .closing
      state.counts.cancelled.add(1)
      handler.cancelled(.disconnected(reason), on: self)
    }
    phase = .closing
    handler.closed(self, reason)
    handler = Nobody.shared
  }

  // MARK: Ending

  /// Closes in order, after what has been sent. No exchange may follow. On the loop.
  public func close() {
    guard phase != .closing else { return }
    phase = .closing
    timer.cancel(on: connection.loop)
    flush()
    connection.close(awaitingPeer: !clientIsDone || !pending.isEmpty)
  }

  /// Closes at once; what waits is lost. On the loop.
  public func abort() {
    if phase == .exchange { wasCutOff = true }
    phase = .closing
    if state.holder === self { state.output.removeAll() }
    connection.abort()
  }

  /// The service drains.
  func closeIfIdle() {
    // A request that has just arrived is answered.
    guard phase == .idle && pending.isEmpty && !isMoving && !hasInput else { return }
    guard !isUsed else { return close() }
    // The first one is on its way, most likely. Many clients repeat a request that a close crosses
    // only where the connection has served one before.
    let limit = min(state.timeouts.head ?? .max, Self.patienceWithFirst)
    timer.set(after: limit, self, on: connection.loop)
  }

  /// How long a drain waits for a connection's first request, in nanoseconds.
  private static var patienceWithFirst: UInt64 { 1_000_000_000 }

  /// Whether something has arrived that has not been handed out.
  private var hasInput: Bool {
    if case .done(let count) = connection.loop.peek(connection.handle) { count > 0 } else { false }
  }

  // MARK: Moving

  /// Moves the connection to another loop as soon as no exchange is under way. On its loop.
  ///
  /// - Returns: whether it will, unless it ends before.
  @discardableResult
  public func requestMove(to destination: EventLoop) -> Bool {
    guard phase == .idle || phase == .head || phase == .exchange, !isMoving,
      destination !== connection.loop
    else { return false }
    self.destination = destination
    if phase == .idle && !isProcessing { moveOn() }
    return true
  }

  /// What arrives until it is there waits in `pending`.
  func moveOn() {
    guard let destination else { return }
    self.destination = nil
    guard pending.isEmpty, !connection.isClosing else { return }
    isMoving = true
    timer.cancel(on: connection.loop)
    state.unlink(self)
    connection.move(to: destination) { [self] result in
      isMoving = false
      // Of a move that is refused nobody is told but this; unless it has come back.
      if !isLinked && !connection.isClosing { state.link(self) }
      guard phase == .idle else { return }
      waitForRequest()
      guard pending.isEmpty else { return processPending() }
      connection.resumeReading()
      // A drain has passed it by.
      if service.isDraining { closeIfIdle() }
    }
  }
}

/// The handler of a connection that is gone.
private final class Nobody: HTTPRequestHandler, Sendable {
  static let shared = Nobody()
  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {}
}

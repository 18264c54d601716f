package import FDHTTP
package import FDNet
import FDPoller
import Synchronization

/// One client connection: its requests, one after the other, each with a backend's connection for
/// as long as it takes.
///
/// | stage      | the client's request                      | the backend's connection             |
/// |------------|-------------------------------------------|--------------------------------------|
/// | idle       | none, or the rest of one answered already | none: it went back to the pool       |
/// | queued     | its body pauses                           | none: every backend has enough to do |
/// | pausing    | its body pauses                           | none: all were tried; soon again     |
/// | connecting | its body pauses                           | being made                           |
/// | requesting | on its way, perhaps complete              | takes it; no answer yet              |
/// | responding | as above                                  | its answer goes to the client        |
/// | tunnel     | another protocol                          | the same                             |
///
/// Both connections run on the client's loop, and so does all of this. Back-pressure: what one side
/// does not take pauses the other. The client's connection may move to another loop while idle.
package final class ProxySession: HTTPRequestHandler, ConnectionHandler, BackendGroup.Waiter,
  @unchecked Sendable
{
  enum Stage { case idle, queued, pausing, connecting, requesting, responding, tunnel }

  let proxy: HTTPProxy
  @exclusivity(unchecked) var state: ProxyLoop
  /// Nil before the first request and after the connection's end.
  @exclusivity(unchecked) var client: HTTPServerConnection?
  /// By which the client was admitted.
  let admission: HTTPProxyConfiguration.Limits
  /// Where the client is.
  let address: SocketAddress
  /// The client as X-Forwarded-For has it, and whether what it says of others is believed.
  let clientText: [UInt8]
  let isTrusted: Bool
  /// The line for X-Forwarded-For, if others are not believed.
  let forwardedFor: [UInt8]

  // The request under way.

  @exclusivity(unchecked) var stage = Stage.idle
  @exclusivity(unchecked) var plan: ProxyPlan
  @exclusivity(unchecked) var group: BackendGroup
  @exclusivity(unchecked) var request = RequestFacts()
  /// Its head as it is sent, kept until the answer begins.
  @exclusivity(unchecked) var head: [UInt8] = []
  /// Where the backend's Host is to be put into it.
  @exclusivity(unchecked) var hostOffset: Int?
  /// Parts of its body for which there was no connection yet.
  @exclusivity(unchecked) var earlyBody: [UInt8] = []
  @exclusivity(unchecked) var requestIsComplete = false
  /// Nil without an access log.
  @exclusivity(unchecked) var logDraft: LogDraft?
  /// Something of its body has been sent: it cannot be sent again.
  @exclusivity(unchecked) var bodyHasBegun = false

  // Its backend.

  @exclusivity(unchecked) var attempt = Attempt()
  @exclusivity(unchecked) var server: Connection?
  @exclusivity(unchecked) var answer = AnswerFacts()
  /// Connections that were begun: tells the one that is being made from earlier ones.
  var connects = 0

  /// What does not change while a request is dealt with.
  struct RequestFacts {
    var method = HTTPMethod.get
    var isChunked = false
    var hasBody = false
    var asksForUpgrade = false
    /// Nobody else may use the backend's connection afterwards.
    var closes = false
    /// In nanoseconds.
    var began: UInt64 = 0
  }

  /// The search for a backend that answers.
  struct Attempt {
    var candidates: Candidates?
    var backend: Backend?
    /// Connections that may still be tried after this one.
    var triesLeft = 0
    /// Pauses made so far.
    var pauses = 0
    /// Connections that were tried beside the last.
    var retries = 0
    /// How it got its connection.
    var origin = AccessRecord.BackendConnection.none
    /// Reused connections have failed once; another would not be better.
    var mustBeFresh = false
    var ticket: QueueTicket?
    /// What the client is told if nothing is left to be tried; nil if nothing has been.
    var failure: HTTPStatus?
  }

  /// What is known of the answer.
  struct AnswerFacts {
    var hasBegun = false
    var keepsAlive = false
    var body = HTTPBodyReader(.length(0))
    /// A part of a head.
    var pending: [UInt8] = []
    /// The client takes no more at the moment.
    var isPaused = false
    var status = HTTPStatus.ok
    var bytes: UInt64 = 0
    /// Who gives it.
    var backend: Backend?
  }

  init(
    _ proxy: HTTPProxy, on state: ProxyLoop, client address: SocketAddress, isTrusted: Bool
  ) {
    self.address = address
    admission = state.plan.configuration.limits
    self.proxy = proxy
    self.state = state
    clientText = Array(address.hostText.utf8)
    forwardedFor = Array("X-Forwarded-For: \(address.hostText)\r\n".utf8)
    self.isTrusted = isTrusted
    plan = state.plan
    group = state.plan.groups[0]
    Self.live.add(1, ordering: .relaxed)
  }

  deinit { Self.live.subtract(1, ordering: .relaxed) }

  private static let live = Atomic(0)

  /// How many there are in this process.
  package static var liveCount: Int { live.load(ordering: .relaxed) }
}

// MARK: - The client

extension ProxySession {
  package func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
    client = connection
    plan = state.plan
    let method = head.knownMethod
    request.began = connection.connection.loop.tickTime
    if proxy.log != nil { logDraft = LogDraft(head, in: state.takeHead()) }
    (requestIsComplete, bodyHasBegun) = (false, false)
    (answer.hasBegun, answer.bytes, answer.backend) = (false, 0, nil)
    attempt = Attempt()
    // Neither makes sense in front of servers: one opens any door, the other shows what was sent.
    guard method != .connect, method != .trace else { return decline(.methodNotAllowed) }
    group = plan.group(for: head)
    request.method = method
    request.isChunked = head.framing == .chunked
    // A server may take the body of a request that should have none for the next request; so there
    // is none behind it.
    request.hasBody = head.framing != .length(0)
    request.closes =
      plan.reuse == .never || request.hasBody && !method.definesBody
    attempt.triesLeft = group.configuration.retries
    let writer = RequestWriter(
      plan: plan, client: clientText, forwardedFor: forwardedFor, isTrusted: isTrusted,
      closes: request.closes)
    request.asksForUpgrade = writer.passesUpgrade(head)
    state.output.removeAll()
    hostOffset = writer.write(head, to: state.output)
    self.head = state.takeHead()
    state.output.copy(to: &self.head)
    attempt.candidates = group.balancer.candidates()
    lookForBackend()
  }

  package func received(_ bytes: RawSpan, on connection: HTTPServerConnection) {
    state.counts.bytesFromClients.add(bytes.byteCount)
    switch stage {
    case .requesting, .responding:
      sendBody(bytes)
    case .queued, .pausing, .connecting:
      bytes.withUnsafeBytes { earlyBody.append(contentsOf: $0) }
      connection.pauseBody()
    case .tunnel:
      waitInTunnel()
      if server?.write(bytes) == .queuedAboveWatermark { connection.pauseBody() }
    case .idle:
      break
    }
  }

  package func requestEnded(on connection: HTTPServerConnection) {
    requestIsComplete = true
    if stage == .requesting || stage == .responding { endRequest() }
  }

  package func drained(_ connection: HTTPServerConnection) {
    guard answer.isPaused else { return }
    answer.isPaused = false
    if stage == .tunnel { waitInTunnel() } else { waitForServer() }
    server?.resumeReading()
  }

  package func inputEnded(on connection: HTTPServerConnection) { server?.finishOutput() }

  package func deadlinePassed(on connection: HTTPServerConnection) {
    switch stage {
    case .queued:
      leaveQueue()
      group.turnedAway.add(1, ordering: .relaxed)
      fail(.serviceUnavailable)
    case .pausing:
      attempt.candidates = group.balancer.candidates()
      lookForBackend()
    case .requesting, .responding:
      serverFailed("the backend does not go on", .gatewayTimeout, mayTryAgain: false)
    case .tunnel:
      server?.abort()
      connection.abort()
    case .idle, .connecting:
      break
    }
  }

  package func cancelled(_ cause: HTTPCancellation, on connection: HTTPServerConnection) {
    if stage == .queued { leaveQueue() }
    switch cause {
    case .disconnected: answer.status = HTTPStatus(rawValue: 499)
    case .truncated, .violation: answer.status = .badRequest
    case .timedOut: answer.status = .requestTimeout
    }
    switch stage {
    case .idle, .responding, .tunnel: break
    case .queued, .pausing, .connecting, .requesting:
      // Unless the client has gone, the connection has just said why.
      if case .disconnected = cause {
        state.counts.unanswered.add(1)
      } else {
        state.counts.noteOwnAnswer(answer.status)
      }
    }
    letGoOfServer(inOrder: false)
    endExchange()
  }

  package func moved(_ connection: HTTPServerConnection) {
    state = proxy.state(of: connection.connection.loop)
  }

  package func closed(_ connection: HTTPServerConnection, _ reason: CloseReason) {
    if stage == .tunnel {
      // What the client has sent last is on its way; anything but an end in order ends the other
      // side as well.
      if reason != .finished { server?.abort() }
      endExchange()
    }
    client = nil
    proxy.clientIsGone(self)
  }
}

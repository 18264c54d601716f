import FDHTTP
package import FDNet
import FDPoller
import Logging
import Synchronization

// What comes from the backend.

extension ProxySession {
  package func received(_ bytes: RawSpan, on connection: Connection) {
    guard connection === server, let client else { return connection.abort() }
    client.hold()
    if stage == .tunnel {
      waitInTunnel()
      state.counts.bytesToClients.add(bytes.byteCount)
      client.write(bytes)
    } else if answer.pending.isEmpty {
      read(bytes)
    } else {
      bytes.withUnsafeBytes { answer.pending.append(contentsOf: $0) }
      var pending: [UInt8] = []
      swap(&pending, &answer.pending)
      read(pending.span.bytes)
    }
    if client.letGo() == .queuedAboveWatermark && connection === server && !answer.isPaused {
      answer.isPaused = true
      // While the client is waited for, the backend is not late.
      client.setDeadline(after: nil)
      connection.pauseReading()
    }
  }

  /// Reads heads, then a body.
  private func read(_ bytes: RawSpan) {
    var offset = 0
    while offset < bytes.byteCount {
      let before = offset
      switch stage {
      case .requesting: offset = readHead(bytes, from: offset)
      case .responding: offset = readBody(bytes, from: offset)
      case .tunnel:
        client?.write(bytes.extracting(offset...))
        return
      case .idle, .queued, .pausing, .connecting:
        return
      }
      if offset == before { return }
    }
  }

  /// Returns where what follows the head begins; the same offset if it is not complete, or refused.
  private func readHead(_ bytes: RawSpan, from start: Int) -> Int {
    guard let client else { return start }
    let rest = bytes.extracting(start...)
    answer.hasBegun = true
    do {
      let reader = client.reader
      guard let count = try reader.readResponse(rest) else {
        rest.withUnsafeBytes { answer.pending = Array($0) }
        waitForServer()
        return start
      }
      let head = reader.response(in: rest)
      if head.status.isInterim {
        guard forwardInterim(head, client) else {
          serverFailed("it switches protocols unasked", .badGateway, mayTryAgain: false)
          return start
        }
      } else {
        forward(head, client)
        // Without a body it is complete.
        if answer.body.isComplete { endAnswer(hasRest: start + count < bytes.byteCount) }
      }
      return start + count
    } catch {
      serverFailed("\(error)", .badGateway, mayTryAgain: false)
      return start
    }
  }

  private func readBody(_ bytes: RawSpan, from start: Int) -> Int {
    guard let client else { return start }
    do {
      switch try answer.body.next(bytes, from: start, trailers: client.reader) {
      case .data(let range):
        answer.bytes += UInt64(range.count)
        state.counts.bytesToClients.add(range.count)
        client.send(bytes.extracting(range))
        if answer.body.isComplete {
          endAnswer(hasRest: range.upperBound < bytes.byteCount)
        } else {
          waitForServer()
        }
        return range.upperBound
      case .end(let offset):
        endAnswer(hasRest: offset < bytes.byteCount)
        return offset
      case .incomplete:
        return bytes.byteCount
      }
    } catch {
      serverFailed("\(error)", .badGateway, mayTryAgain: false)
      return start
    }
  }

  // MARK: Heads

  /// - Returns: false if nobody has asked for the other protocol: client and backend would read what
  ///   follows differently.
  private func forwardInterim(
    _ head: borrowing HTTPResponseHead, _ client: HTTPServerConnection
  ) -> Bool {
    switch head.status {
    case .continue:
      client.sendContinue()
      client.resumeBody()
    case .switchingProtocols:
      guard request.asksForUpgrade, requestIsComplete, let output = client.beginForwarding() else {
        return false
      }
      writeStatusLine(head, to: output)
      writeFields(head, to: output)
      if let upgrade = head.fields.firstIndex(of: .upgrade) {
        output.field(head.fields, at: upgrade)
      }
      output.append("Connection: upgrade\r\n\r\n")
      answer.status = head.status
      state.counts.noteAnswer(head.status)
      state.counts.tunnels.add(1)
      stage = .tunnel
      client.becomeTunnel()
      waitInTunnel()
    default:
      guard client.takesInterim, let output = client.beginForwarding() else { return true }
      writeStatusLine(head, to: output)
      writeFields(head, to: output)
      output.append("\r\n")
    }
    return true
  }

  private func forward(_ head: borrowing HTTPResponseHead, _ client: HTTPServerConnection) {
    let framing = head.framing(answering: request.method)
    answer.body = HTTPBodyReader(framing)
    answer.keepsAlive = head.keepsAlive && framing != .untilClose
    answer.status = head.status
    answer.bytes = 0
    stage = .responding
    state.counts.noteAnswer(head.status)
    state.giveBackHead(self.head)
    self.head = []
    attempt.backend?.health.noteSuccess()
    guard let output = client.beginForwarding() else { return }
    writeStatusLine(head, to: output)
    writeFields(head, to: output)
    if head.fields.firstIndex(of: .date) == nil { client.appendDate() }
    if request.method == .head || head.status == .notModified {
      // The length is of the body that is not sent.
      if let length = head.contentLength { output.field("Content-Length", length) }
      client.endHead(head.status, nil)
    } else {
      client.endHead(head.status, framing)
    }
  }

  private func writeStatusLine(_ head: borrowing HTTPResponseHead, to output: HTTPOutput) {
    output.append("HTTP/1.1 ")
    output.append(decimal: UInt64(head.status.rawValue))
    output.append(" ")
    output.append(head.phrase)
    output.append("\r\n")
  }

  private func writeFields(_ head: borrowing HTTPResponseHead, to output: HTTPOutput) {
    let fields = head.fields
    output.append(fields) { index in
      !fields.isHopByHop(at: index) && fields.name(at: index) != .contentLength
    }
    plan.appendVia(head.minorVersion, to: output)
  }

  func waitInTunnel() { client?.setDeadline(afterNanoseconds: plan.timeouts.tunnel) }

  // MARK: The connection's other events

  package func drained(_ connection: Connection) {
    if connection === server { client?.resumeBody() }
  }

  package func inputEnded(on connection: Connection) {
    guard connection === server else { return connection.close() }
    if stage == .tunnel {
      client?.finishOutput()
    } else if stage == .responding && answer.body.endsWithConnection {
      client?.hold()
      endAnswer(hasRest: false)
      client?.letGo()
    } else {
      serverFailed("it has closed the connection", .badGateway, mayTryAgain: true)
    }
  }

  package func closed(_ connection: Connection, _ reason: CloseReason) {
    guard connection === server else { return }
    server = nil
    guard stage != .tunnel && stage != .idle else {
      // Without a stage its tunnel has lost the client before.
      giveBackPlace()
      if reason != .finished { client?.abort() }
      return
    }
    let isLate = if case .timedOut = reason { true } else { false }
    serverFailed(
      "its connection is gone (\(reason))", isLate ? .gatewayTimeout : .badGateway,
      mayTryAgain: !isLate)
  }
}

// MARK: - Ends

extension ProxySession {
  /// The answer is complete.
  ///
  /// - Parameter hasRest: the backend has sent more than that, which answers nothing.
  func endAnswer(hasRest: Bool) {
    var isClean = answer.keepsAlive && requestIsComplete && !hasRest && !request.closes
    // A server that sends a body where none belongs would answer the next request with it.
    if isClean, request.method == .head || answer.status.isBodiless, let server {
      isClean = server.isQuiet
    }
    letGoOfServer(inOrder: isClean)
    let trailers = answer.body.trailerSection
    endExchange()
    guard let client else { return }
    client.finish { output in
      if let trailers { append(trailers, to: output, client.reader) { _ in true } }
    }
  }

  /// Adds the fields of a trailer section that concern more than one connection.
  ///
  /// - Parameters:
  ///   - section: complete, with its empty line.
  ///   - passes: whether a field of the name is passed on.
  func append(
    _ section: [UInt8], to output: HTTPOutput, _ reader: HTTPHeadReader,
    where passes: (HTTPFieldName) -> Bool
  ) {
    // It has been read in this way before.
    guard (try? reader.readTrailers(section.span.bytes)) != nil else { return }
    let fields = reader.trailers(in: section.span.bytes)
    output.append(fields) { !fields.isHopByHop(at: $0) && passes(fields.name(at: $0)) }
  }

  /// Gives the connection to the backend back to the pool, or ends it.
  ///
  /// - Parameter inOrder: request and answer are complete, and nothing else has been said.
  func letGoOfServer(inOrder: Bool) {
    if let server {
      self.server = nil
      if inOrder {
        plan.pool.checkIn(server)
      } else {
        // The client may be on another loop, and this session with it, when it is gone.
        server.abandon()
      }
    }
    giveBackPlace()
  }

  func giveBackPlace() {
    guard let backend = attempt.backend else { return }
    attempt.backend = nil
    group.release(backend)
  }

  /// The request is done with.
  func endExchange() {
    stage = .idle
    if head.capacity > 0 { state.giveBackHead(head) }
    head = []
    earlyBody = []
    answer.pending = []
    answer.isPaused = false
    if let draft = logDraft { log(draft) }
  }

  private func log(_ draft: LogDraft) {
    guard let log = proxy.log, let client else { return }
    let loop = client.connection.loop
    draft.append(to: log.lanes[loop.index], of: self) { record in
      record.status = answer.status.rawValue
      record.bytesSent = answer.bytes
      record.durationNanoseconds = EventLoop.clock() - request.began
      record.retries = attempt.retries
      guard let backend = answer.backend else { return }
      record.backend = backend.name
      record.connection = attempt.origin
    }
    logDraft = nil
    state.giveBackHead(draft.memory())
  }

  /// The connection to the backend is of no use any more, and there was no complete answer.
  func serverFailed(_ reason: String, _ status: HTTPStatus, mayTryAgain: Bool) {
    guard stage == .requesting || stage == .responding else { return }
    // A reused connection may have been closed for its age: that says nothing about the backend.
    let wasReused = mayTryAgain && attempt.origin != .new && !answer.hasBegun
    if !wasReused { noteFailure(reason) }
    guard stage == .requesting else {
      letGoOfServer(inOrder: false)
      state.counts.cutOff.add(1)
      endExchange()
      client?.abort()
      return
    }
    attempt.failure = status
    letGoOfServer(inOrder: false)
    let isWhole = request.method.isIdempotent && !bodyHasBegun && !answer.hasBegun
    guard mayTryAgain, isWhole, attempt.triesLeft > 0 else { return fail(status) }
    attempt.triesLeft -= 1
    state.counts.retries.add(1)
    attempt.retries += 1
    if wasReused {
      attempt.mustBeFresh = true
      attempt.candidates = group.balancer.candidates()
    }
    lookForBackend()
  }

  func noteFailure(_ reason: String) {
    guard let backend = attempt.backend else { return }
    backend.failures.add(1, ordering: .relaxed)
    let configuration = group.configuration
    let isEjected = backend.health.noteFailure(
      ejectingAfter: configuration.ejectAfter,
      for: configuration.ejectTime.wholeNanoseconds)
    proxy.warn("a backend has failed", ["backend": "\(backend.name)", "reason": "\(reason)"])
    if isEjected {
      proxy.warn(
        "a backend is left out for a while: too many failures in a row",
        ["backend": "\(backend.name)", "time": "\(configuration.ejectTime)"])
    }
  }

  /// No backend has answered.
  func fail(_ status: HTTPStatus) {
    proxy.warn(
      "a request is not answered by any backend",
      ["group": "\(group.configuration.name)", "status": "\(status.rawValue)"])
    decline(status)
  }

  /// Answers in the proxy's own name.
  func decline(_ status: HTTPStatus) {
    guard let client else { return }
    answer.status = status
    state.counts.noteOwnAnswer(status)
    endExchange()
    // The rest of a body is of no interest: read it all the same, and the client may be answered.
    client.resumeBody()
    client.respondFromProxy(status)
  }
}

extension HTTPServerConnection {
  /// Answers with a status and its words. 503 says when it is worth another try.
  fileprivate func respondFromProxy(_ status: HTTPStatus) {
    let body = "\(status.rawValue) \(status.phrase)\n"
    hold()
    begin(status, .length(UInt64(body.utf8.count))) {
      $0.field("Content-Type", "text/plain; charset=utf-8")
      if status == .serviceUnavailable { $0.field("Retry-After", "1") }
      if status == .methodNotAllowed {
        $0.field("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")
      }
    }
    send(body.utf8Span.span.bytes)
    finish()
    letGo()
  }
}

extension Connection {
  /// Whether the peer has neither sent anything nor ended the connection, as far as the kernel knows
  /// now. For a connection that was taken from a pool.
  var isQuiet: Bool { loop.peek(handle) == .wouldBlock }
}

public import FDNet
import FDPoller

// From answers to bytes.

extension HTTPServerConnection {
  // MARK: Whole answers

  /// Answers the request. On the loop.
  ///
  /// - Parameters:
  ///   - status: not 1xx.
  ///   - type: what `Content-Type` says; nil for an answer without a body.
  ///   - body: in UTF-8; by default the status in words.
  public func respond(
    _ status: HTTPStatus, type: StaticString? = "text/plain; charset=utf-8", _ body: String? = nil
  ) {
    let text = body ?? "\(status.rawValue) \(status.phrase)\n"
    respond(status, type: type, text.utf8Span.span.bytes)
  }

  /// Answers the request. On the loop. See the other `respond`.
  public func respond(_ status: HTTPStatus, type: StaticString?, _ body: RawSpan) {
    hold()
    begin(status, .length(status.isBodiless ? 0 : UInt64(body.byteCount))) {
      if let type, !status.isBodiless { $0.field("Content-Type", type) }
    }
    send(body)
    finish()
    letGo()
  }

  // MARK: Answers in pieces

  /// Begins the answer: its head. On the loop.
  ///
  /// - Parameters:
  ///   - status: not 1xx.
  ///   - framing: of the body that follows; one that ends with the connection is sent in chunks
  ///     where the client knows chunks.
  ///   - fields: adds fields to the head, beside Date, Server, Connection and those of the framing.
  public func begin(
    _ status: HTTPStatus, _ framing: HTTPFraming, fields: (HTTPOutput) -> Void = { _ in }
  ) {
    guard mayBegin(status) else { return }
    hold()
    let output = state.output
    output.statusLine(status)
    state.appendDate(at: connection.loop.tickTime)
    if let name = state.settings.name { output.field("Server", name) }
    fields(output)
    endHead(status, framing)
    letGo()
  }

  private func mayBegin(_ status: HTTPStatus) -> Bool {
    precondition(!status.isInterim, "1xx is said by sendContinue")
    if phase == .closing { return false }
    guard phase == .exchange, case .none = answer else {
      preconditionFailure("one answer for each request")
    }
    return true
  }

  /// Begins an answer that comes from elsewhere: the caller adds the status line and the fields, and
  /// ends with `endHead`, all between `hold` and `letGo`.
  ///
  /// - Returns: nil if the connection takes no answer any more.
  package func beginForwarding() -> HTTPOutput? {
    assert(holds > 0, "what is forwarded is held back first")
    guard phase == .exchange, case .none = answer else { return nil }
    takeOutput()
    return state.output
  }

  /// Adds Date to a forwarded head that has none (RFC 9110, section 6.6.1).
  package func appendDate() { state.appendDate(at: connection.loop.tickTime) }

  /// Whether the client understands 1xx.
  package var takesInterim: Bool { !isHTTP10 }

  /// Adds the fields of the framing and the connection, and the empty line.
  ///
  /// - Parameter framing: nil if no body follows whatever the fields so far say.
  package func endHead(_ status: HTTPStatus, _ framing: HTTPFraming?) {
    let output = state.output
    // Nobody will read the rest of the body, or it may never come.
    if !requestIsComplete && (bodyIsPaused || expectsContinue) { keepsAlive = false }
    switch framing {
    case nil:
      answer = .bodiless
    case .length(let count):
      if !status.isBodiless || status == .notModified && count > 0 {
        output.field("Content-Length", count)
      }
      answer = isHead || status.isBodiless ? .bodiless : .length(count)
    case .chunked, .untilClose:
      if status.isBodiless {
        answer = .bodiless
      } else if isHTTP10 {
        keepsAlive = false
        answer = isHead ? .bodiless : .untilClose
      } else {
        output.append("Transfer-Encoding: chunked\r\n")
        answer = isHead ? .bodiless : .chunked
      }
    }
    if service.isDraining { keepsAlive = false }
    if !keepsAlive {
      output.append("Connection: close\r\n\r\n")
    } else if isHTTP10 {
      output.append("Connection: keep-alive\r\n\r\n")
    } else {
      output.append("\r\n")
    }
  }

  /// Says `100 Continue` to a client that waits for it before it sends the body. On the loop.
  public func sendContinue() {
    guard phase == .exchange, expectsContinue, case .none = answer else { return }
    expectsContinue = false
    hold()
    state.output.append("HTTP/1.1 100 Continue\r\n\r\n")
    letGo()
  }

  /// Sends a piece of the body. On the loop.
  ///
  /// - Parameter bytes: not more than the length that was announced is left.
  /// - Returns: as `Connection.write`.
  @discardableResult
  public func send(_ bytes: RawSpan) -> WriteResult {
    guard bytes.byteCount > 0 else { return connection.isWritable ? .sent : .refused }
    switch answer {
    case .length(let left):
      let count = UInt64(bytes.byteCount)
      precondition(count <= left, "more than the announced length")
      answer = .length(left - count)
      return write(bytes)
    case .chunked:
      hold()
      let output = state.output
      output.append(hexadecimal: UInt64(bytes.byteCount))
      output.append("\r\n")
      output.append(bytes)
      output.append("\r\n")
      return letGo()
    case .untilClose: return write(bytes)
    case .bodiless: return .sent
    case .none where phase == .closing: return .refused
    case .complete where phase == .closing: return .refused
    case .none, .complete: preconditionFailure("a body comes between begin and finish")
    }
  }

  /// Ends the answer. On the loop.
  ///
  /// - Parameter trailers: adds trailer fields; only an answer in chunks has them.
  public func finish(trailers: (HTTPOutput) -> Void = { _ in }) {
    switch answer {
    case .length(let left) where left > 0:
      // The client must not take what is there for all.
      return abort()
    case .chunked:
      hold()
      state.output.append("0\r\n")
      trailers(state.output)
      state.output.append("\r\n")
      letGo()
    case .length, .untilClose, .bodiless:
      break
    case .none, .complete:
      precondition(phase == .closing, "finish comes after begin, once")
      return
    }
    answer = .complete
    guard phase == .exchange else { return }
    if requestIsComplete {
      // Within `requested` the rest of the event is to come.
      if !isProcessing { endExchange() }
    } else if keepsAlive {
      // Nobody wants the rest, but what follows it.
      resumeBody()
    } else {
      close()
    }
  }

  /// Both sides are complete.
  func endExchange() {
    guard keepsAlive && !service.isDraining else { return close() }
    phase = .idle
    bodyIsPaused = false
    waitForRequest()
    guard !isProcessing else { return }
    if pending.isEmpty {
      connection.resumeReading()
      moveOn()
    } else {
      // Whoever has finished the answer does not expect the next request within that call.
      connection.loop.defer { [self] in processPending() }
    }
  }

  // MARK: Tunnels

  /// From here on the connection carries another protocol: `send` and `received` are for its bytes.
  /// The answer that says so has been written as a head. On the loop.
  package func becomeTunnel() {
    phase = .tunnel
    answer = .untilClose
    timer.cancel(on: connection.loop)
    bodyIsPaused = false
    connection.resumeReading()
    if !isProcessing { processPending() }
    // The end came while it was still a request.
    if inputHasEnded { handler.inputEnded(on: self) }
  }

  /// Ends the output of a tunnel; its input goes on. On the loop.
  package func finishOutput() {
    flush()
    connection.finishOutput()
  }

  // MARK: Writing

  /// Holds back what is written until `letGo`, so that it goes out in one piece. Calls nest.
  package func hold() {
    holds += 1
    takeOutput()
  }

  /// The loop's output is this connection's from here on.
  private func takeOutput() {
    if state.holder !== self {
      state.holder?.flush()
      state.holder = self
    }
  }

  /// Sends what has been held back, if this ends the outermost `hold`.
  @discardableResult
  package func letGo() -> WriteResult {
    holds -= 1
    guard holds == 0 else { return connection.isCongested ? .queuedAboveWatermark : .sent }
    let result = flush()
    if state.holder === self { state.holder = nil }
    return result
  }

  /// Where the output has more than this, it is sent at once.
  private static var mostHeld: Int { 64 << 10 }

  /// Bytes of the answer as they are, in order with what is held back.
  @discardableResult
  package func write(_ bytes: RawSpan) -> WriteResult {
    guard holds > 0 else { return connection.write(bytes) }
    takeOutput()
    if state.output.count + bytes.byteCount > Self.mostHeld {
      flush()
      return connection.write(bytes)
    }
    state.output.append(bytes)
    return connection.isCongested ? .queuedAboveWatermark : .sent
  }

  @discardableResult
  func flush() -> WriteResult {
    guard state.holder === self, state.output.count > 0 else {
      return connection.isCongested ? .queuedAboveWatermark : .sent
    }
    let result = connection.write(state.output.bytes)
    state.output.removeAll()
    return result
  }
}

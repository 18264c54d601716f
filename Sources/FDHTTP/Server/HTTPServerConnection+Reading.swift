public import FDNet
package import FDPoller
import Logging

// From bytes to requests.

extension HTTPServerConnection {
  /// Called by the connection.
  public func received(_ bytes: RawSpan, on connection: Connection) {
    if phase == .tunnel { return handler.received(bytes, on: self) }
    guard pending.isEmpty && !isBlocked else { return postpone(bytes) }
    let rest = process(bytes)
    if rest < bytes.byteCount && phase != .closing { stash(bytes.extracting(rest...)) }
  }

  /// Nothing more can be read until something else has happened.
  private var isBlocked: Bool {
    switch phase {
    case .exchange: requestIsComplete
    case .idle: isMoving || connection.isCongested
    case .head, .tunnel, .closing: false
    }
  }

  /// Keeps bytes for which it is too early, or which continue a head.
  private func postpone(_ bytes: RawSpan) {
    guard phase != .closing else { return }
    let hasLine = phase != .head || contains(bytes, Syntax.lineFeed)
    bytes.withUnsafeBytes { pending.append(contentsOf: $0) }
    // The rest of a head, without the end of a line, changes nothing.
    if hasLine || pending.count > state.settings.limits.startLineBytes {
      processPending()
    } else if isBlocked {
      connection.pauseReading()
    }
  }

  private func contains(_ bytes: RawSpan, _ wanted: UInt8) -> Bool {
    for offset in 0..<bytes.byteCount where byte(bytes, offset) == wanted { return true }
    return false
  }

  private func stash(_ rest: RawSpan) {
    rest.withUnsafeBytes { pending.append(contentsOf: $0) }
    if isBlocked { connection.pauseReading() }
  }

  /// Goes on with what has been kept.
  func processPending() {
    guard !isProcessing, !pending.isEmpty, phase != .closing else { return }
    guard !isBlocked else { return connection.pauseReading() }
    var bytes: [UInt8] = []
    swap(&bytes, &pending)
    let rest = phase == .tunnel ? passOn(bytes.span.bytes) : process(bytes.span.bytes)
    guard phase != .closing else { return }
    bytes.removeFirst(rest)
    pending = bytes
    if isBlocked {
      if !pending.isEmpty { connection.pauseReading() }
    } else if !bodyIsPaused {
      connection.resumeReading()
    }
    if inputHasEnded && phase == .head { close() }
  }

  private func passOn(_ bytes: RawSpan) -> Int {
    handler.received(bytes, on: self)
    return bytes.byteCount
  }

  /// Reads requests as far as it goes, and answers them as far as they are answered at once.
  ///
  /// - Returns: how many of the bytes have been read.
  private func process(_ bytes: RawSpan) -> Int {
    isProcessing = true
    hold()
    var offset = 0
    var isStuck = false
    while offset < bytes.byteCount && !isStuck && !isBlocked {
      switch phase {
      case .idle, .head:
        let length = begin(bytes.extracting(offset...))
        isStuck = length == 0
        offset += length
      case .exchange:
        offset = readBody(bytes, from: offset)
      case .tunnel:
        handler.received(bytes.extracting(offset...), on: self)
        offset = bytes.byteCount
      case .closing:
        isStuck = true
      }
    }
    isProcessing = false
    letGo()
    if phase == .idle && destination != nil && offset == bytes.byteCount { moveOn() }
    return offset
  }

  /// Reads a head, and hands it out if it is complete.
  ///
  /// - Returns: how many bytes it has; 0 if it is not complete.
  private func begin(_ bytes: RawSpan) -> Int {
    let count: Int
    do {
      guard let complete = try state.reader.readRequest(bytes) else {
        if phase == .idle {
          phase = .head
          timer.set(after: state.timeouts.head, self, on: connection.loop)
        }
        return 0
      }
      count = complete
    } catch {
      refuse(error)
      return 0
    }
    state.counts.requests.add(1)
    let head = state.reader.request(in: bytes)
    phase = .exchange
    isUsed = true
    answer = .none
    keepsAlive = head.keepsAlive && !service.isDraining && !inputHasEnded
    isHTTP10 = head.minorVersion == 0
    deadlineIsHandlers = false
    isHead = head.knownMethod == .head
    body = HTTPBodyReader(head.framing)
    requestIsComplete = body.isComplete
    clientIsDone = !head.keepsAlive && requestIsComplete && count == bytes.byteCount
    expectsContinue = head.expectsContinue && !requestIsComplete
    if requestIsComplete { timer.clear() } else { waitForBody() }
    handler.requested(head, on: self)
    if expectsContinue && service.saysContinue { sendContinue() }
    if requestIsComplete && phase == .exchange { completeRequest() }
    return count
  }

  /// Reads a piece of a body.
  ///
  /// - Returns: where what follows it begins.
  private func readBody(_ bytes: RawSpan, from start: Int) -> Int {
    do {
      switch try body.next(bytes, from: start, trailers: state.reader) {
      case .data(let range):
        if !bodyIsPaused && !deadlineIsHandlers { waitForBody() }
        expectsContinue = false
        handler.received(bytes.extracting(range), on: self)
        // A length has no end of its own behind the data.
        if body.isComplete && phase == .exchange { completeRequest() }
        return range.upperBound
      case .end(let offset):
        completeRequest()
        return offset
      case .incomplete:
        return bytes.byteCount
      }
    } catch {
      state.counts.refused.add(1)
      cancel(.violation(error), status: error.status)
      return bytes.byteCount
    }
  }

  private func completeRequest() {
    requestIsComplete = true
    if !deadlineIsHandlers { timer.clear() }
    handler.requestEnded(on: self)
    if case .complete = answer, phase == .exchange { endExchange() }
  }

  /// The trailer section of the request, as `HTTPHeadReader.readTrailers` reads it; nil if it has
  /// none or is not complete.
  public var trailerSection: [UInt8]? { body.trailerSection }

  /// Asks for no more of the body until `resumeBody()`; a few pieces may still come. On the loop.
  public func pauseBody() {
    guard phase == .exchange || phase == .tunnel, !bodyIsPaused else { return }
    bodyIsPaused = true
    if !deadlineIsHandlers { timer.clear() }
    connection.pauseReading()
  }

  /// On the loop.
  public func resumeBody() {
    guard bodyIsPaused else { return }
    bodyIsPaused = false
    if phase == .exchange && !requestIsComplete && !deadlineIsHandlers { waitForBody() }
    if pending.isEmpty || !isBlocked { connection.resumeReading() }
  }

  // MARK: Waiting

  func waitForRequest() {
    hasExpired = false
    timer.set(after: state.timeouts.keepAlive, self, on: connection.loop)
  }

  private func waitForBody() {
    timer.set(after: state.timeouts.body, self, on: connection.loop)
  }

  /// Has the handler told if the exchange or the tunnel still goes on after some time. It takes the
  /// place of what was set before; until it has passed, or is set to nil, the client is not late
  /// with its body. On the loop.
  ///
  /// - Parameter delay: from now on; nil for never.
  public func setDeadline(after delay: Duration?) {
    setDeadline(afterNanoseconds: delay?.wholeNanoseconds)
  }

  /// See `setDeadline(after:)`.
  package func setDeadline(afterNanoseconds delay: UInt64?) {
    guard phase == .exchange || phase == .tunnel else { return }
    deadlineIsHandlers = delay != nil
    if delay == nil && phase == .exchange && !requestIsComplete && !bodyIsPaused {
      waitForBody()
    } else {
      timer.set(after: delay, self, on: connection.loop)
    }
  }

  // MARK: Refusing

  /// Answers what is no request, and closes.
  func refuse(_ violation: HTTPViolation) {
    state.counts.refused.add(1)
    state.settings.logger.debug(
      "a request is refused",
      metadata: [
        "reason": "\(violation)", "status": "\(violation.status.rawValue)",
        "client": "\(connection.peerAddress, default: "?")",
      ])
    service.whenRefused?(violation, self)
    sayAndClose(violation.status)
  }

  /// Ends an exchange before its time: says why, if nothing has been said yet.
  func cancel(_ cause: HTTPCancellation, status: HTTPStatus) {
    state.counts.cancelled.add(1)
    let hasBegun = if case .none = answer { false } else { true }
    if hasBegun {
      phase = .closing
      // What is missing must not look as if it were complete.
      connection.abort()
    } else {
      sayAndClose(status)
    }
    handler.cancelled(cause, on: self)
  }

  func sayAndClose(_ status: HTTPStatus) {
    phase = .exchange
    requestIsComplete = true
    answer = .none
    keepsAlive = false
    isHead = false
    respond(status)
    if phase == .exchange { close() }
  }
}

extension HTTPServerConnection: TimerTarget {
  package func timerFired(on loop: EventLoop) {
    guard timer.hasFired(self, on: loop) else { return }
    switch phase {
    case .idle where !hasExpired:
      // A request may be waiting behind this very timer: what has arrived is handed out before the
      // next one.
      hasExpired = true
      timer.set(after: 1_000_000, self, on: connection.loop)
    case .idle where connection.hasOutput:
      // The last answer is still on its way; how slowly it may be is the write deadline's affair.
      waitForRequest()
    case .idle:
      close()
    case .exchange where deadlineIsHandlers, .tunnel:
      setDeadline(afterNanoseconds: nil)
      handler.deadlinePassed(on: self)
    case .head:
      state.counts.timeouts.add(1)
      sayAndClose(.requestTimeout)
    case .exchange where !requestIsComplete:
      state.counts.timeouts.add(1)
      cancel(.timedOut, status: .requestTimeout)
    case .exchange, .closing:
      break
    }
  }
}

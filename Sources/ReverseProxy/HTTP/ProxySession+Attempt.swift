import FDHTTP
import FDNet
import FDPoller
import Synchronization

// The way to a backend, and the request on its way there.

extension ProxySession {
  /// Takes the next candidate that is well and has a place.
  func lookForBackend() {
    guard let client, var candidates = attempt.candidates else { return }
    let loop = client.connection.loop
    defer { attempt.candidates = candidates }
    switch group.choose(&candidates, at: loop.tickTime) {
    case .backend(let backend, let endpoint):
      reach(backend, endpoint)
    case .full:
      stage = .queued
      guard let ticket = group.enqueue(self, on: loop) else {
        group.turnedAway.add(1, ordering: .relaxed)
        return fail(.serviceUnavailable)
      }
      attempt.ticket = ticket
      state.counts.queued.add(1)
      client.setDeadline(after: group.configuration.queueTimeout)
    case .none:
      pause()
    }
  }

  /// All candidates have been tried: after a moment they may have come back.
  private func pause() {
    guard let failure = attempt.failure else { return fail(.serviceUnavailable) }
    guard attempt.pauses < group.configuration.retries else { return fail(failure) }
    stage = .pausing
    client?.setDeadline(after: .milliseconds(100 << attempt.pauses))
    attempt.pauses += 1
  }

  func leaveQueue() {
    if let ticket = attempt.ticket { group.leave(ticket) }
    attempt.ticket = nil
  }

  package func placeGranted(_ backend: Backend) {
    attempt.ticket = nil
    reach(backend, backend.preferred.load(ordering: .relaxed))
  }

  /// There is a place at the backend: takes a connection that is idle, or makes one.
  private func reach(_ backend: Backend, _ index: Int) {
    guard let client else { return group.release(backend) }
    let loop = client.connection.loop
    // Of the queue, or of the pause before.
    client.setDeadline(after: nil)
    attempt.backend = backend
    let address = backend.endpoints[index].address
    while mayReuse, let idle = plan.pool.findIdle(address, on: loop) {
      guard isRepeatable || idle.connection.isQuiet else {
        idle.connection.abort()
        continue
      }
      attempt.origin = idle.isTakenOver ? .takenOver : .reused
      return connected(idle.connection)
    }
    attempt.origin = .new
    stage = .connecting
    let pool = plan.pool
    connects += 1
    let connect = connects
    pool.open(address, on: loop, deadline: plan.configuration.timeouts.connect) { [self] result in
      guard stage == .connecting, connects == connect else {
        // The client has gone meanwhile; somebody else may have use for it.
        if case .success(let server) = result { pool.checkIn(server) }
        return
      }
      switch result {
      case .success(let server):
        backend.preferred.store(index, ordering: .relaxed)
        connected(server)
      case .failure(let error):
        connectFailed(error)
      }
    }
  }

  private var mayReuse: Bool {
    guard !request.closes, !attempt.mustBeFresh else { return false }
    return plan.reuse == .always || isRepeatable
  }

  /// Whether the request may be sent once more after it has been sent.
  var isRepeatable: Bool { request.method.isIdempotent && !request.hasBody }

  private func connectFailed(_ error: ConnectError) {
    if case .timedOut = error.cause {
      attempt.failure = .gatewayTimeout
    } else {
      attempt.failure = .badGateway
    }
    noteFailure("\(error)")
    giveBackPlace()
    // Nothing of the request has been sent, so any may go elsewhere.
    state.counts.retries.add(1)
    attempt.retries += 1
    lookForBackend()
  }

  private func connected(_ server: Connection) {
    self.server = server
    server.setHandler(self)
    attempt.backend?.connected.add(1, ordering: .relaxed)
    answer.backend = attempt.backend
    stage = .requesting
    answer.pending.removeAll()
    sendHead(to: server)
    if !earlyBody.isEmpty {
      var body: [UInt8] = []
      swap(&body, &earlyBody)
      sendBody(body.span.bytes)
    }
    if requestIsComplete { endRequest() }
    // A client whose request is complete is read as well, for its end.
    if !server.isCongested { client?.resumeBody() }
  }

  private func sendHead(to server: Connection) {
    let head = head
    guard let hostOffset, let backend = attempt.backend else {
      server.write(head.span.bytes)
      return
    }
    let output = state.output
    output.removeAll()
    let bytes = head.span.bytes
    output.append(bytes.extracting(..<hostOffset))
    output.append("Host: ")
    output.append(backend.hostName)
    output.append("\r\n")
    output.append(bytes.extracting(hostOffset...))
    _ = output.write(to: server)
  }

  func sendBody(_ bytes: RawSpan) {
    guard let server else { return }
    bodyHasBegun = true
    let result: WriteResult
    if request.isChunked {
      let output = state.output
      output.removeAll()
      output.append(hexadecimal: UInt64(bytes.byteCount))
      output.append("\r\n")
      output.append(bytes)
      output.append("\r\n")
      result = output.write(to: server)
    } else {
      result = server.write(bytes)
    }
    if result == .queuedAboveWatermark { client?.pauseBody() }
  }

  func endRequest() {
    if request.isChunked, let server {
      let output = state.output
      output.removeAll()
      output.append("0\r\n")
      if let trailers = client?.trailerSection, let reader = client?.reader {
        // What a client says of where it comes from is believed here no more than in the head.
        append(trailers, to: output, reader) { name in
          isTrusted || name != .xForwardedFor && name != .forwarded
        }
      }
      output.append("\r\n")
      bodyHasBegun = true
      _ = output.write(to: server)
    }
    waitForServer()
  }

  func waitForServer() {
    guard requestIsComplete, !answer.isPaused else { return }
    client?.setDeadline(afterNanoseconds: plan.timeouts.server)
  }
}

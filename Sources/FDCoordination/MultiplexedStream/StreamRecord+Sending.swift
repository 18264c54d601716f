import DequeModule

extension StreamRecord {
  /// What a message costs of the buffer: an empty one takes memory too.
  private static func cost(_ message: [UInt8]) -> Int { message.count + Frame.overhead }

  /// Why nothing can be sent, if so.
  var sendFailure: MultiplexedError? {
    if let failure { return failure }
    if sending != .open { return isPeerListening ? .finished : .peerStoppedListening }
    return nil
  }

  /// Whether there is room for a message, and nobody waits for it already.
  func takesMessages(_ buffer: Int) -> Bool { senders.isEmpty && outboundCost < buffer }

  mutating func queue(_ message: [UInt8]) {
    outbound.append(Outbound(bytes: message))
    outboundCost += Self.cost(message)
  }

  /// Nothing follows what is queued and what waits.
  mutating func finish() {
    if sending == .open { sending = .finishing }
  }

  /// Whether a frame can be sent now. Not for a small part of a message, if more credit is about to
  /// come: the peer gives it for each fourth of its window.
  func hasFrame(_ peerWindow: Int) -> Bool {
    guard failure == nil else { return false }
    guard let first = outbound.first else { return sending == .finishing && senders.isEmpty }
    let rest = first.bytes.count - first.sent
    return credit >= min(rest, peerWindow / 4) + Frame.overhead
  }

  /// The next frame, of which `hasFrame` has told. Messages that wait move up.
  mutating func cutFrame(_ buffer: Int, _ effects: inout StreamEffects) -> Frame {
    guard let first = outbound.first else {
      sending = .ended
      return .finish(stream: stream)
    }
    let rest = first.bytes.count - first.sent
    let count = min(rest, Frame.mostPayload, credit - Frame.overhead)
    let range = first.sent..<first.sent + count
    credit -= count + Frame.overhead
    outboundCost -= count
    if count == rest {
      outbound.removeFirst()
      outboundCost -= Frame.overhead
    } else {
      outbound[0].sent += count
    }
    while outboundCost < buffer, let sender = senders.popFirst() {
      queue(sender.message)
      sender.waiter.settle(.look, &effects)
    }
    return .data(stream: stream, bytes: first.bytes, range: range, endsMessage: count == rest)
  }

  /// The peer listens no more: what is queued is for nobody, and only the end is said.
  mutating func peerStopsListening(_ effects: inout StreamEffects) {
    isPeerListening = false
    dropOutbound(.peerStoppedListening, &effects)
    finish()
  }

  mutating func dropOutbound(_ error: MultiplexedError, _ effects: inout StreamEffects) {
    outbound.removeAll()
    outboundCost = 0
    failSenders(error, &effects)
  }

  mutating func failSenders(_ error: MultiplexedError, _ effects: inout StreamEffects) {
    while let sender = senders.popFirst() { sender.waiter.settle(.failed(error), &effects) }
  }
}

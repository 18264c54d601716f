import DequeModule

extension StreamRecord {
  /// What a look at the stream found.
  enum Found {
    case bytes([UInt8])
    /// A message in more than one part, to be put together outside the lock.
    case parts([[UInt8]])
    /// The peer has ended in order, and everything has been read.
    case end
    case nothing
    case failed(MultiplexedError)
  }

  /// Data has come.
  ///
  /// - Returns: whether the message is within the limit.
  mutating func take(
    _ bytes: [UInt8], endsMessage: Bool, limit: Int, _ effects: inout StreamEffects
  ) throws(FrameError) -> Bool {
    guard receiving != .ended else { throw .dataAfterEnd(stream) }
    let charge = bytes.count + Frame.overhead
    guard charge <= granted else { throw .creditExceeded(stream) }
    granted -= charge
    guard isListening, failure == nil else { return true }
    incomingCount += bytes.count
    guard incomingCount <= limit else { return false }
    store(bytes, endsMessage: endsMessage, charge: charge)
    isInsideMessage = !endsMessage
    if endsMessage {
      incomingCount = 0
      wholeMessages += 1
    }
    guard let receiver else { return true }
    if !receiver.wholeMessage || wholeMessages > 0 { wakeReceiver(&effects) } else { lend() }
    return true
  }

  /// Small parts of a message are joined: the memory that a message takes is bounded by its size
  /// and not by the number of its parts.
  private mutating func store(_ bytes: [UInt8], endsMessage: Bool, charge: Int) {
    if isInsideMessage, let last = inbound.indices.last,
      inbound[last].bytes.count + bytes.count <= Frame.mostPayload
    {
      inbound[last].bytes += bytes
      inbound[last].endsMessage = endsMessage
      inbound[last].charge += charge
    } else {
      inbound.append(Inbound(bytes: bytes, endsMessage: endsMessage, charge: charge))
    }
  }

  /// Somebody waits for a message of which a part is here: it may be larger than the window, so
  /// that part counts as read.
  mutating func lend() {
    for index in inbound.indices {
      owed += inbound[index].charge
      inbound[index].charge = 0
    }
  }

  /// Takes the next message, or the next part of one.
  mutating func look(wholeMessage: Bool) -> Found {
    if let failure { return .failed(failure) }
    if !isListening { return .failed(.streamClosed) }
    if wholeMessage ? wholeMessages > 0 : !inbound.isEmpty {
      let first = takeFirst()
      if !wholeMessage || first.endsMessage { return .bytes(first.bytes) }
      var parts = [first.bytes]
      while true {
        let next = takeFirst()
        parts.append(next.bytes)
        if next.endsMessage { return .parts(parts) }
      }
    }
    return receiving == .ended ? .end : .nothing
  }

  private mutating func takeFirst() -> Inbound {
    let first = inbound.removeFirst()
    owed += first.charge
    if first.endsMessage { wholeMessages -= 1 }
    return first
  }

  /// Whether the peer is to be told that it may send more.
  func owesCredit(_ window: Int) -> Bool {
    paysCredit && !isOwedInLine && owed >= window / 4
  }

  private var paysCredit: Bool { receiving == .open && isListening && failure == nil }

  mutating func payCredit() -> Frame? {
    isOwedInLine = false
    guard owed > 0, paysCredit else { return nil }
    defer { owed = 0 }
    granted += owed
    return .credit(stream: stream, amount: UInt32(owed))
  }

  /// The peer has said its last.
  mutating func peerFinishes(_ effects: inout StreamEffects) throws(FrameError) {
    guard receiving != .ended else { throw .dataAfterEnd(stream) }
    guard !isListening || !isInsideMessage else { throw .unfinishedMessage(stream) }
    receiving = .ended
    wakeReceiver(&effects)
  }

  /// Nobody here listens any more.
  ///
  /// - Returns: whether the peer is to be told.
  mutating func stopListening(_ effects: inout StreamEffects) -> Bool {
    dropInbound()
    guard isListening else { return false }
    isListening = false
    wakeReceiver(&effects)
    return receiving == .open && failure == nil
  }

  mutating func dropInbound() {
    inbound.removeAll()
    wholeMessages = 0
  }

  mutating func wakeReceiver(_ effects: inout StreamEffects) {
    receiver?.waiter.settle(.look, &effects)
    receiver = nil
  }
}

// What the peer does, and what the users of the streams do.

extension MultiplexedState {
  /// Frames have come, in order.
  mutating func received(_ frames: [Frame]) {
    do {
      for frame in frames where failure == nil { try received(frame) }
    } catch {
      fail(error)
    }
  }

  /// What came is not what may come: the connection ends.
  mutating func fail(_ error: FrameError) {
    guard failure == nil else { return }
    end(.malformed(error))
    effects.ending = .abruptly
  }

  private mutating func received(_ frame: Frame) throws(FrameError) {
    switch frame {
    case .hello(let window, let streams): try peerGreets(Int(window), Int(streams))
    case .open(let stream, let opening): try peerOpens(stream, opening)
    case .data(let stream, let bytes, _, let endsMessage):
      guard let index = try index(of: stream) else { return }
      let isWithinLimit = try streams.values[index].take(
        bytes, endsMessage: endsMessage, limit: settings.largestMessage, &effects)
      guard isWithinLimit else { return try refuseMessage(index) }
      noteOwed(index)
    case .finish(let stream):
      guard let index = try index(of: stream) else { return }
      try streams.values[index].peerFinishes(&effects)
      tidy(index)
    case .stop(let stream):
      guard let index = try index(of: stream) else { return }
      streams.values[index].peerStopsListening(&effects)
      joinLine(index)
    case .reset(let stream, let code):
      guard let index = try index(of: stream) else { return }
      streams.values[index].fail(
        code == Self.refused ? .refusedByPeer : .resetByPeer(code: code), &effects)
      tidy(index)
    case .credit(let stream, let amount):
      guard let index = try index(of: stream) else { return }
      let credit = streams.values[index].credit + Int(amount)
      guard credit <= Int(UInt32.max) else { throw .tooMuchCredit(stream) }
      streams.values[index].credit = credit
      joinLine(index)
    case .ping(let number): pong = number
    case .pong(let number): effects.answer = number
    case .goodbye:
      end(.closedByPeer)
      effects.ending = .inOrder
    }
  }

  /// Where the stream is; nil if it is over, of which the peer may not have heard.
  private func index(
    of stream: UInt32
  ) throws(FrameError) -> Dictionary<UInt32, StreamRecord>.Index? {
    if let index = streams.index(forKey: stream) { return index }
    guard wasOpened(stream) else { throw .wrongStream(stream) }
    return nil
  }

  private mutating func peerGreets(_ window: Int, _ most: Int) throws(FrameError) {
    guard peer == nil else { throw .outOfOrder }
    peer = (window, most)
    for index in streams.indices {
      streams.values[index].credit += window
      joinLine(index)
    }
  }

  private mutating func refuseMessage(
    _ index: Dictionary<UInt32, StreamRecord>.Index
  ) throws(FrameError) {
    let record = streams.values[index]
    try answer(.reset(stream: record.stream, code: Self.tooLarge))
    streams.values[index].fail(
      .messageTooLarge(count: record.incomingCount, limit: settings.largestMessage), &effects)
    tidy(index)
  }

  private mutating func noteOwed(_ index: Dictionary<UInt32, StreamRecord>.Index) {
    guard streams.values[index].owesCredit(settings.window) else { return }
    streams.values[index].isOwedInLine = true
    owedLine.append(streams.values[index].stream)
  }

  // MARK: The users

  enum Sent {
    case queued
    /// There is no room, and nothing has changed.
    case full
    case waiting(StreamWaiter)
    case failed(MultiplexedError)
  }

  /// Queues a message.
  ///
  /// - Parameter waits: whether to stand in line if there is no room.
  mutating func send(_ message: [UInt8], on stream: UInt32, waits: Bool) -> Sent {
    if let failure { return .failed(failure) }
    guard message.count <= settings.largestMessage else {
      return .failed(.messageTooLarge(count: message.count, limit: settings.largestMessage))
    }
    guard let index = streams.index(forKey: stream) else { return .failed(.streamClosed) }
    if let failure = streams.values[index].sendFailure { return .failed(failure) }
    if streams.values[index].takesMessages(settings.sendBuffer) {
      streams.values[index].queue(message)
      joinLine(index)
      return .queued
    }
    guard waits else { return .full }
    let waiter = StreamWaiter(.sending(stream))
    streams.values[index].senders.append(.init(waiter: waiter, message: message))
    return .waiting(waiter)
  }

  enum Received {
    case found(StreamRecord.Found)
    case waiting(StreamWaiter)
  }

  /// Takes what has come, or waits for it.
  mutating func receive(on stream: UInt32, wholeMessage: Bool) -> Received {
    guard failure != .closed, let index = streams.index(forKey: stream) else {
      return .found(.failed(failure ?? .streamClosed))
    }
    let found = streams.values[index].look(wholeMessage: wholeMessage)
    if case .nothing = found {
      if let failure { return .found(.failed(failure)) }
      precondition(
        streams.values[index].receiver == nil,
        "a stream has one reader at a time, and this is a second")
      let waiter = StreamWaiter(.receiving(stream))
      streams.values[index].receiver = (waiter, wholeMessage)
      if wholeMessage { streams.values[index].lend() }
      noteOwed(index)
      return .waiting(waiter)
    }
    noteOwed(index)
    return .found(found)
  }

  enum Ended {
    /// Nil if both sides had said all that they wanted to.
    case over(MultiplexedError?)
    case waiting(StreamWaiter)
  }

  /// Whether a stream is over, or else a wait for that.
  mutating func awaitEnd(of stream: UInt32) -> Ended {
    guard let index = streams.index(forKey: stream) else { return .over(failure ?? .streamClosed) }
    if streams.values[index].isOver { return .over(streams.values[index].failure) }
    if let failure { return .over(failure) }
    let waiter = StreamWaiter(.streamEnding(stream))
    streams.values[index].mourners.append(waiter)
    return .waiting(waiter)
  }

  mutating func finish(_ stream: UInt32) {
    guard failure == nil, let index = streams.index(forKey: stream) else { return }
    streams.values[index].finish()
    joinLine(index)
  }

  mutating func stopListening(_ stream: UInt32) {
    guard let index = streams.index(forKey: stream) else { return }
    if streams.values[index].stopListening(&effects), failure == nil {
      controls.append(.stop(stream: stream))
    }
  }

  mutating func reset(_ stream: UInt32, code: UInt32) {
    guard failure == nil, let index = streams.index(forKey: stream),
      !streams.values[index].isOver
    else { return }
    controls.append(.reset(stream: stream, code: code))
    streams.values[index].fail(.streamClosed, &effects)
    tidy(index)
  }

  /// The user has let go of a stream. One that was not finished must not look as if all had been
  /// said.
  mutating func release(_ stream: UInt32) {
    guard let index = streams.index(forKey: stream) else { return }
    streams.values[index].isReleased = true
    if let failure {
      // Closed here: what it had queued may still go.
      if failure != .closed { streams.remove(at: index) }
    } else if streams.values[index].isOver {
      tidy(index)
    } else if streams.values[index].sending == .open {
      reset(stream, code: Self.abandoned)
    } else {
      stopListening(stream)
    }
  }
}

import DequeModule

// What goes out next. What keeps the connection alive and moving, credit, resets, probes and their
// answers, goes before all data, so that no stream's backlog holds it up; and of data each stream
// that may send sends one frame in its turn.

extension MultiplexedState {
  private var hasOutput: Bool {
    !controls.isEmpty || pong != nil || ping != nil || !owedLine.isEmpty || !line.isEmpty
  }

  /// What is to be done once the lock is free.
  mutating func takeEffects() -> StreamEffects {
    if failure == nil, !isFlushAsked, hasOutput {
      isFlushAsked = true
      effects.wantsFlush = true
    }
    defer { effects = StreamEffects() }
    return effects
  }

  /// The stream has something to send, perhaps: then it stands in the line, once.
  mutating func joinLine(_ index: Dictionary<UInt32, StreamRecord>.Index) {
    guard !streams.values[index].isInLine, streams.values[index].hasFrame(peer?.window ?? 0)
    else { return }
    streams.values[index].isInLine = true
    line.append(streams.values[index].stream)
  }

  /// Takes frames to be written now, as many as make up so many bytes.
  ///
  /// - Returns: whether there are more.
  mutating func takeFrames(into batch: inout [Frame], limit: Int) -> Bool {
    var count = 0
    while count < limit {
      guard let frame = nextControl() ?? nextData() else {
        isFlushAsked = false
        return false
      }
      count += frame.encodedCount
      batch.append(frame)
    }
    return true
  }

  private mutating func nextControl() -> Frame? {
    if let frame = controls.popFirst() { return frame }
    if let number = pong {
      pong = nil
      return .pong(number)
    }
    if let number = ping {
      ping = nil
      return .ping(number)
    }
    while let stream = owedLine.popFirst() {
      if let index = streams.index(forKey: stream),
        let frame = streams.values[index].payCredit()
      {
        return frame
      }
    }
    return nil
  }

  private mutating func nextData() -> Frame? {
    while let stream = line.popFirst() {
      guard let index = streams.index(forKey: stream) else { continue }
      streams.values[index].isInLine = false
      guard streams.values[index].hasFrame(peer?.window ?? 0) else { continue }
      let frame = streams.values[index].cutFrame(settings.sendBuffer, &effects)
      joinLine(index)
      tidy(index)
      return frame
    }
    return nil
  }
}

import DequeModule

/// All that a multiplexed connection knows of its streams: who has credit, who waits, what goes out
/// next. It does nothing itself: what is to be done, resume this task, write something, close,
/// it leaves in `effects`, and whoever holds the lock does that after unlocking.
///
/// Invariants: what a stream holds is at most its window, or the one message that somebody waits
/// for, and its send buffer with one message more. A stream that has something to send, and credit
/// for it, stands in `line` once. The first failure stays.
struct MultiplexedState {
  let settings: MultiplexedSettings
  var streams: [UInt32: StreamRecord] = [:]
  /// Of this side's parity: clients open odd streams, servers even ones.
  private var nextStream: UInt32
  private var lastPeerStream: UInt32 = 0
  private var openHere = 0
  private var openThere = 0
  /// What the peer's hello said.
  var peer: (window: Int, streams: Int)?

  /// Streams that the peer has opened and nobody has taken.
  var incoming: Deque<(stream: UInt32, opening: [UInt8])> = []
  var acceptors: Deque<StreamWaiter> = []
  /// Those who wait for the end.
  var mourners: [StreamWaiter] = []
  var failure: MultiplexedError?
  var effects = StreamEffects()
  /// How long the last answer of the peer took.
  var roundTrip: Duration?

  // What goes out: MultiplexedState+Output.

  var controls: Deque<Frame>
  var pong: UInt64?
  var ping: UInt64?
  var owedLine: Deque<UInt32> = []
  var line: Deque<UInt32> = []
  /// Somebody is about to write, or waits until that is possible.
  var isFlushAsked = false

  /// A peer that makes us owe it so many answers does not read them.
  static var mostControls: Int { 1 << 16 }
  /// The codes of a reset that this package uses itself.
  static var abandoned: UInt32 { 0 }
  static var refused: UInt32 { .max }
  static var tooLarge: UInt32 { .max - 1 }

  init(_ settings: MultiplexedSettings, isClient: Bool) {
    self.settings = settings
    nextStream = isClient ? 1 : 2
    controls = [
      .hello(window: UInt32(settings.window), streams: UInt32(settings.peerStreams))
    ]
  }

  func isOurs(_ stream: UInt32) -> Bool { stream & 1 == nextStream & 1 }

  /// Whether there has ever been such a stream.
  func wasOpened(_ stream: UInt32) -> Bool {
    isOurs(stream) ? stream < nextStream : stream <= lastPeerStream
  }

  // MARK: Opening

  mutating func open(_ opening: [UInt8]) throws(MultiplexedError) -> UInt32 {
    if let failure { throw failure }
    guard opening.count <= Frame.mostOpening else {
      throw .openingTooLarge(count: opening.count, limit: Frame.mostOpening)
    }
    let limit = peer?.streams ?? settings.peerStreams
    guard openHere < limit, nextStream < .max - 1, controls.count < Self.mostControls
    else { throw .tooManyStreams(limit: limit) }
    let stream = nextStream
    nextStream += 2
    openHere += 1
    streams[stream] = StreamRecord(
      stream, isOurs: true, credit: peer?.window ?? 0, granted: settings.window)
    controls.append(.open(stream: stream, opening: opening))
    return stream
  }

  mutating func peerOpens(_ stream: UInt32, _ opening: [UInt8]) throws(FrameError) {
    // Its user may reset every stream that comes, which nothing else bounds.
    guard controls.count < Self.mostControls else { throw .flood }
    guard !isOurs(stream), stream > lastPeerStream else { throw .wrongStream(stream) }
    lastPeerStream = stream
    guard openThere < settings.peerStreams, incoming.count < settings.backlog else {
      return try answer(.reset(stream: stream, code: Self.refused))
    }
    openThere += 1
    streams[stream] = StreamRecord(
      stream, isOurs: false, credit: peer?.window ?? 0, granted: settings.window)
    incoming.append((stream, opening))
    acceptors.popFirst()?.settle(.look, &effects)
  }

  /// The next stream that the peer has opened.
  mutating func accept() -> (stream: UInt32, opening: [UInt8])? {
    while let next = incoming.popFirst() {
      guard let index = streams.index(forKey: next.stream) else { continue }
      streams.values[index].isAccepted = true
      return next
    }
    return nil
  }

  /// Answers what the peer did.
  mutating func answer(_ frame: Frame) throws(FrameError) {
    guard controls.count < Self.mostControls else { throw .flood }
    controls.append(frame)
  }

  // MARK: Ending

  /// The connection is over, for everybody who waits and everybody who comes. The first error
  /// stays. What has been received can still be read, unless it was closed here.
  mutating func end(_ error: MultiplexedError) {
    guard failure == nil else { return }
    failure = error
    for index in streams.indices {
      streams.values[index].connectionEnded(error, keepingInbound: error != .closed, &effects)
    }
    if error == .closed { incoming.removeAll() }
    while let waiter = acceptors.popFirst() { waiter.settle(.look, &effects) }
    for waiter in mourners { waiter.settle(.look, &effects) }
    mourners.removeAll()
  }

  /// Nothing can be written any more.
  mutating func dropOutput() {
    controls.removeAll()
    (ping, pong) = (nil, nil)
    owedLine.removeAll()
    line.removeAll()
    for index in streams.indices { streams.values[index].outbound.removeAll() }
  }

  /// A stream may have come to its end.
  mutating func tidy(_ index: Dictionary<UInt32, StreamRecord>.Index) {
    if streams.values[index].isCounted, streams.values[index].isOver {
      streams.values[index].isCounted = false
      if streams.values[index].isOurs { openHere -= 1 } else { openThere -= 1 }
      streams.values[index].wakeMourners(&effects)
    }
    if streams.values[index].isForgettable { streams.remove(at: index) }
  }

  /// A wait is given up.
  mutating func cancel(_ waiter: StreamWaiter) {
    switch waiter.place {
    case .sending(let stream):
      if let index = streams.index(forKey: stream) {
        streams.values[index].senders.removeAll { $0.waiter === waiter }
        joinLine(index)
      }
    case .receiving(let stream):
      if let index = streams.index(forKey: stream),
        streams.values[index].receiver?.waiter === waiter
      {
        streams.values[index].receiver = nil
      }
    case .streamEnding(let stream):
      if let index = streams.index(forKey: stream) {
        streams.values[index].mourners.removeAll { $0 === waiter }
      }
    case .accepting: acceptors.removeAll { $0 === waiter }
    case .ending: mourners.removeAll { $0 === waiter }
    }
    waiter.settle(.cancelled, &effects)
  }
}

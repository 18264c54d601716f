import DequeModule

/// One logical stream as its connection knows it: two directions that know nothing of each other.
struct StreamRecord {
  let stream: UInt32
  /// Whether this side has opened it.
  let isOurs: Bool

  // What goes out: StreamRecord+Sending.

  /// Messages that are not sent, or not wholly.
  var outbound: Deque<Outbound> = []
  /// What they cost.
  var outboundCost = 0
  /// What the peer still takes.
  var credit: Int
  var sending = Sending.open
  var isPeerListening = true
  /// Messages that do not fit, in order.
  var senders: Deque<WaitingSender> = []
  /// It stands in the line of those that have something to send.
  var isInLine = false

  // What comes in: StreamRecord+Receiving.

  var inbound: Deque<Inbound> = []
  /// How many of them end a message.
  var wholeMessages = 0
  /// Of the message that is coming in, read or not.
  var incomingCount = 0
  var isInsideMessage = false
  /// What the peer may still send, as far as it has been told.
  var granted: Int
  /// What has been read and the peer not been told.
  var owed = 0
  /// It stands in the line of those whose peer is to be told.
  var isOwedInLine = false
  var receiving = Receiving.open
  /// Somebody here wants what comes.
  var isListening = true
  var receiver: (waiter: StreamWaiter, wholeMessage: Bool)?

  /// Why the stream as a whole is over.
  var failure: MultiplexedError?
  /// Those who wait for its end.
  var mourners: [StreamWaiter] = []
  /// Somebody here has had it.
  var isAccepted: Bool
  /// Nobody here uses it any more.
  var isReleased = false
  /// It counts among the open ones.
  var isCounted = true

  struct Outbound {
    var bytes: [UInt8]
    var sent = 0
  }

  struct WaitingSender {
    let waiter: StreamWaiter
    let message: [UInt8]
  }

  struct Inbound {
    var bytes: [UInt8]
    var endsMessage: Bool
    /// The credit that it costs until it is read.
    var charge: Int
  }

  enum Sending {
    case open
    /// The end follows what is queued.
    case finishing
    /// The peer has been told.
    case ended
  }

  enum Receiving {
    case open
    /// The peer has said its last.
    case ended
  }

  init(_ stream: UInt32, isOurs: Bool, credit: Int, granted: Int) {
    self.stream = stream
    self.isOurs = isOurs
    self.credit = credit
    self.granted = granted
    isAccepted = isOurs
  }

  /// Neither side has anything to say on it any more.
  var isOver: Bool { failure != nil || (sending == .ended && receiving == .ended) }

  /// Nobody can ask for it any more.
  var isForgettable: Bool { isOver && (isReleased || (!isAccepted && failure != nil)) }

  /// The stream is over in both directions; what is queued is dropped.
  mutating func fail(_ error: MultiplexedError, _ effects: inout StreamEffects) {
    guard failure == nil else { return }
    failure = error
    dropOutbound(error, &effects)
    dropInbound()
    wakeReceiver(&effects)
    wakeMourners(&effects)
  }

  mutating func wakeMourners(_ effects: inout StreamEffects) {
    for waiter in mourners { waiter.settle(.look, &effects) }
    mourners.removeAll()
  }

  /// The connection is over: whoever waits learns why.
  mutating func connectionEnded(
    _ error: MultiplexedError, keepingInbound: Bool, _ effects: inout StreamEffects
  ) {
    failSenders(error, &effects)
    if !keepingInbound { dropInbound() }
    wakeReceiver(&effects)
    wakeMourners(&effects)
  }
}

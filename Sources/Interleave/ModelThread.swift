import CFibers

/// A thread of a scenario.
struct ModelThread {
  enum Status: UInt8 {
    case absent
    /// It has an operation pending.
    case ready
    case finished
  }

  /// A store that waits in the thread's buffer (total store order).
  struct Buffered {
    var location: UInt8
    var value: UInt64
    var clock: Clock
  }

  var fiber = fdf_fiber()
  var status = Status.absent
  var pending = Operation(kind: .begin)
  /// It has announced its first operation: from then on its fiber decides who goes on.
  var hasAnnounced = false
  /// It has taken its first step.
  var hasBegun = false
  var symmetry = 0
  /// All that the thread has observed and stored, in order. With the scenario it determines what
  /// the thread does next, so nothing on its stack has to be looked at. Every operation adds to it.
  var history = Digest()
  /// What happens before the thread's next operation.
  var clock = Clock()
  /// The same, as what it may still read (C11).
  var view = View()
  /// The sequentially consistent operations that strongly happen before its next operation (C11).
  var consistent = Clock()
  /// The locations that it has read since it last spun, a bit each.
  var watched: UInt32 = 0
  /// For each of these the store that it has read, or put there, last (C11).
  var seen = View()
  /// Another thread has changed one of these since, or the thread has read two values of one.
  var isStirred = false
  /// How many of its weak compare-and-swaps may still fail for no reason.
  var weakFailures: UInt8 = 0
  var buffer: [Buffered] = []

  mutating func reset() {
    status = .absent
    pending = Operation(kind: .begin)
    hasAnnounced = false
    hasBegun = false
    symmetry = 0
    history = Digest()
    clock = Clock()
    view = View()
    consistent = Clock()
    watched = 0
    seen = View()
    isStirred = false
    weakFailures = 0
    if !buffer.isEmpty { buffer.removeAll(keepingCapacity: true) }
  }

  @inline(__always)
  func watches(_ location: UInt8) -> Bool { location < 32 && watched &>> UInt32(location) & 1 != 0 }

  @inline(__always)
  mutating func watch(_ location: UInt8) { watched |= 1 &<< UInt32(location) }
}

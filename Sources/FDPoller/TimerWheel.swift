// Where timers wait, and why the wheel never has to search.
//
// Read a tick as a number of eleven digits in base 64. A timer waits on the level of the highest
// digit in which its tick differs from the cursor, the tick that the wheel has reached, in the
// bucket of that digit:
//
//     cursor  … 00 03 17
//     tick    … 00 03 42    level 0, bucket 42
//     tick    … 00 09 05    level 1, bucket 9
//     tick    … 01 00 00    level 2, bucket 1
//
// | level   | a bucket spans | the level reaches |
// |---------|----------------|-------------------|
// | 0       | 1 ms           | 64 ms             |
// | 1       | 64 ms          | 4 s               |
// | 2       | 4 s            | 4.4 min           |
// | 3       | 4.4 min        | 4.7 h             |
// | 4       | 4.7 h          | 12 days           |
// | 5       | 12 days        | 2.2 years         |
// | 6       | 2.2 years      | 139 years         |
// | 7 to 10 | the rest       | every UInt64      |
//
// It follows:
//
// 1. A level never wraps round: its timers are in buckets behind the cursor's digit (on level 0, or
//    at it).
// 2. A timer is due before all timers of higher levels. So the first occupied bucket of the first
//    occupied level holds the earliest timer, and finding it takes a look at two bitmaps.
// 3. The cursor may jump to any tick before the start of that bucket, and no timer changes its
//    place: time in which nothing is due costs nothing.
// 4. When the cursor reaches that start, the bucket's timers share one digit more with it. They
//    cascade to lower levels, which are empty by then; a timer cascades at most ten times, whatever
//    its tick.
// 5. Tick and cursor alone say where a timer waits. Timers of one tick are therefore always in one
//    bucket, and since buckets are filled and emptied in order, they fire in the order in which
//    they were added.

/// Names one timer of the wheel that gave it out; do not ask another wheel about it.
///
/// It outlives its timer without harm: when that has fired or been cancelled the name is stale,
/// also when the timer's node serves another, and stays so until the node has served four billion
/// of them.
public struct TimerID: Hashable, Sendable {
  let index: UInt32
  let generation: UInt32
}

/// The timers of one event loop: a hierarchical timing wheel. It has no clock; a tick is a
/// millisecond of whatever clock the caller reads.
///
/// Used by one thread. Timers are never early. To add and to cancel takes constant time, and memory
/// only when more timers are live than ever before; a timer takes 24 bytes and its payload, kept
/// for the next one.
///
/// Expired timers are popped one by one, so that what they run may add and cancel:
///
///     while let payload = wheel.popExpired(at: now) { run(payload) }
///
/// They fire in the order of their ticks, those of one tick in the order in which they were added.
/// A timer that is added when its tick has already been reached is put off to the next tick, so
/// this loop ends even if every timer adds itself again at once.
package struct TimerWheel<Payload>: ~Copyable {
  /// First the heads of the buckets' lists, each at its bucket's number; then timers and free
  /// nodes.
  private var nodes: [Node]
  private var firstFree = Node.none
  /// For each level, one bit for each bucket that is not empty.
  private var occupied = [11 of UInt64](repeating: 0)
  /// One bit for each level that is not empty.
  private var occupiedLevels: UInt16 = 0
  /// The tick that the wheel has reached: no timer is due before it. It trails `now` only while
  /// expired timers are left to be popped.
  private var cursor: UInt64
  /// The latest tick that the caller has named as the present.
  private var now: UInt64
  /// The latest tick at which no expired timer was left.
  private var settled: UInt64

  /// The number of timers that have neither fired nor been cancelled.
  package private(set) var count = 0

  /// - Parameter now: the present tick, in milliseconds.
  package init(now: UInt64) {
    nodes = (0..<Bucket.count).map { Node(head: $0) }
    cursor = now
    self.now = now
    settled = now
  }

  /// Adds a timer.
  ///
  /// - Parameters:
  ///   - payload: what `popExpired` is to return when the timer has expired.
  ///   - tick: when it expires, in milliseconds. A tick that is not later than the last present the
  ///     wheel was told means the tick after that present; there is none after `UInt64.max`.
  @discardableResult
  package mutating func add(_ payload: Payload, at tick: UInt64) -> TimerID {
    let index = allocate()
    nodes[index].payload = payload
    nodes[index].tick = max(tick, now + 1)
    append(index)
    count += 1
    return TimerID(index: UInt32(index), generation: nodes[index].generation)
  }

  /// Cancels a timer; one that has expired too, as long as it has not been popped.
  ///
  /// - Returns: its payload, or nil if it has fired or been cancelled before.
  @discardableResult
  package mutating func cancel(_ id: TimerID) -> Payload? {
    let index = Int(id.index)
    guard nodes[index].generation == id.generation else { return nil }
    return remove(index)
  }

  /// What waits, in no order.
  package var payloads: [Payload] { nodes.compactMap(\.payload) }

  /// Removes the earliest of the expired timers.
  ///
  /// A call takes constant time, but for timers that cascade on the way: all those of a bucket at
  /// once.
  ///
  /// - Parameter now: the present tick, in milliseconds; not earlier than in the call before.
  /// - Returns: the timer's payload, or nil if no timer is due at `now` or before.
  package mutating func popExpired(at now: UInt64) -> Payload? {
    assert(now >= self.now, "time does not go back")
    // Most ticks of a busy loop are in the millisecond of the one before: nothing is due in it that
    // was not then.
    if now == settled { return nil }
    self.now = max(self.now, now)
    // Every turn starts on a lower level than the one before, so there are at most eleven.
    while let bucket = earliest {
      let start = bucket.start(seenFrom: cursor)
      guard start <= self.now else { break }
      cursor = start
      if bucket.level == 0 { return remove(nodes[bucket.number].next) }
      cascade(bucket)
    }
    cursor = self.now
    settled = self.now
    return nil
  }

  /// The tick until which the loop may sleep, or nil if there are no timers.
  ///
  /// It is never later than the earliest timer, and later than the present once `popExpired` has
  /// returned nil. For a timer on a higher level it is the tick at which its bucket cascades; on
  /// the way to a timer, a loop thus wakes up to no purpose at most ten times.
  package func nextExpiry() -> UInt64? {
    earliest?.start(seenFrom: cursor)
  }
}

// MARK: - Buckets

/// One of the 64 buckets of one of the eleven levels.
private struct Bucket {
  static let digitBits = 6
  static let count = 11 << digitBits

  /// Counted level by level; also the index of the node that heads the bucket's list.
  let number: Int

  init(number: Int) { self.number = number }

  init(level: Int, digit: Int) { number = level << Self.digitBits | digit }

  /// The bucket in which a timer waits.
  init(of tick: UInt64, seenFrom cursor: UInt64) {
    // The lowest bit is set because a tick that does not differ belongs on level 0 too.
    let highestDifference = 63 - ((tick ^ cursor) | 1).leadingZeroBitCount
    let level = highestDifference / Self.digitBits
    let tickFromDigit = Int(truncatingIfNeeded: tick >> (level * Self.digitBits))
    self.init(level: level, digit: tickFromDigit & (1 << Self.digitBits - 1))
  }

  var level: Int { number >> Self.digitBits }
  /// The digit that the bucket's ticks have on its level.
  var digit: Int { number & (1 << Self.digitBits - 1) }

  /// The earliest tick in the bucket: the cursor's digits above its level, its own, and zeros.
  func start(seenFrom cursor: UInt64) -> UInt64 {
    let below = level * Self.digitBits
    // The top level has no digits above it: there the shift passes the last bit and leaves nothing.
    let above = UInt64.max << (below + Self.digitBits)
    return cursor & above | UInt64(digit) << below
  }
}

extension TimerWheel {
  /// The bucket that holds the earliest timer.
  private var earliest: Bucket? {
    guard occupiedLevels != 0 else { return nil }
    let level = occupiedLevels.trailingZeroBitCount
    return Bucket(level: level, digit: occupied[level].trailingZeroBitCount)
  }

  private mutating func noteFilled(_ bucket: Bucket) {
    occupied[bucket.level] |= 1 << bucket.digit
    occupiedLevels |= 1 << bucket.level
  }

  private mutating func noteEmptied(_ bucket: Bucket) {
    occupied[bucket.level] &= ~(1 << bucket.digit)
    if occupied[bucket.level] == 0 { occupiedLevels &= ~(1 << bucket.level) }
  }

  /// Spreads a bucket, at whose start the cursor has arrived, over the levels below.
  private mutating func cascade(_ bucket: Bucket) {
    assert(bucket.start(seenFrom: cursor) == cursor)
    var index = nodes[bucket.number].next
    nodes[bucket.number] = Node(head: bucket.number)
    noteEmptied(bucket)
    while index != bucket.number {
      let next = nodes[index].next
      append(index)
      index = next
    }
  }
}

// MARK: - Nodes

extension TimerWheel {
  /// A timer, a free node, or the head of a bucket's list.
  ///
  /// A bucket's list is a ring through its head, so neither end is a special case. Free nodes are
  /// chained by `next`.
  private struct Node {
    static var none: Int { Int(UInt32.max) }

    var tick: UInt64 = 0
    private var nextIndex: UInt32
    private var previousIndex: UInt32
    /// How often the node has been freed: the mark of a `TimerID` that is not stale.
    var generation: UInt32 = 0
    var payload: Payload?

    init(head index: Int) {
      nextIndex = UInt32(index)
      previousIndex = UInt32(index)
    }

    var next: Int {
      get { Int(nextIndex) }
      set { nextIndex = UInt32(truncatingIfNeeded: newValue) }
    }
    var previous: Int {
      get { Int(previousIndex) }
      set { previousIndex = UInt32(truncatingIfNeeded: newValue) }
    }
  }

  private mutating func allocate() -> Int {
    let index = firstFree
    guard index != Node.none else {
      precondition(nodes.count < Node.none, "a wheel has room for four billion timers")
      nodes.append(Node(head: nodes.count))
      return nodes.count - 1
    }
    firstFree = nodes[index].next
    return index
  }

  /// Puts a timer at the end of the bucket where its tick belongs.
  private mutating func append(_ index: Int) {
    let bucket = Bucket(of: nodes[index].tick, seenFrom: cursor)
    let last = nodes[bucket.number].previous
    nodes[index].previous = last
    nodes[index].next = bucket.number
    nodes[last].next = index
    nodes[bucket.number].previous = index
    noteFilled(bucket)
  }

  /// Takes a timer out of its bucket and frees its node.
  private mutating func remove(_ index: Int) -> Payload? {
    let next = nodes[index].next
    let previous = nodes[index].previous
    nodes[previous].next = next
    nodes[next].previous = previous
    // Only the head is both neighbours: the bucket is empty now.
    if next == previous { noteEmptied(Bucket(number: next)) }
    nodes[index].generation &+= 1
    nodes[index].next = firstFree
    firstFree = index
    count -= 1
    return nodes[index].payload.take()
  }
}

// MARK: - Invariants

extension TimerWheel {
  /// Checks everything that the head of this file claims, in debug builds. Takes time proportional
  /// to all nodes.
  func _checkInvariants() {
    #if DEBUG
      assert(MemoryLayout<Node>.size <= 24 + MemoryLayout<Payload?>.size)
      assert(cursor <= now)
      var live = 0
      for bucket in (0..<Bucket.count).map(Bucket.init) {
        let isOccupied = occupied[bucket.level] & 1 << bucket.digit != 0
        assert(isOccupied == (nodes[bucket.number].next != bucket.number))
        assert((occupied[bucket.level] != 0) == (occupiedLevels & 1 << bucket.level != 0))
        live += checkedLength(of: bucket)
      }
      assert(live == count)

      var free = 0
      var index = firstFree
      while index != Node.none {
        assert(index >= Bucket.count && nodes[index].payload == nil)
        free += 1
        assert(free <= nodes.count, "the free list ends")
        index = nodes[index].next
      }
      assert(Bucket.count + live + free == nodes.count, "every node is a head, a timer or free")
    #endif
  }

  private func checkedLength(of bucket: Bucket) -> Int {
    var length = 0
    var index = bucket.number
    repeat {
      let next = nodes[index].next
      assert(nodes[next].previous == index)
      if next != bucket.number {
        assert(next >= Bucket.count && nodes[next].payload != nil)
        assert(nodes[next].tick >= cursor)
        assert(Bucket(of: nodes[next].tick, seenFrom: cursor).number == bucket.number)
        length += 1
      }
      index = next
      assert(length <= count, "the ring closes")
    } while index != bucket.number
    return length
  }
}

/// The order of sequentially consistent operations: one total order S that C++20 demands of them,
/// as far as something forces it.
///
/// S is not the order of execution. It has to agree with two relations only ([atomics.order]/4):
/// what strongly happens before what, and, on one location, what is coherence-ordered before what
/// (an older store before a newer one, a load between the store that it reads and the next). An
/// operation may take any place in the modification order with which the union of the two stays
/// free of cycles; then some total order exists. Nobody has to know which.
///
/// A set of operations that is closed under "earlier on the same thread" is a clock: how many of
/// each thread's operations are in it.
struct ConsistentOrder {
  private struct Event {
    var location: UInt8 = 0
    /// Place in the coherence order: store `n` has rank 2n, what reads it has 2n + 1.
    var rank = 0
    /// The operations that come before this one in every S.
    var before = Clock()
  }

  /// Sequentially consistent operations of one thread in one execution.
  static let limit = 64

  private let events: UnsafeMutablePointer<Event>
  private var counts = Clock()

  init() {
    events = .allocate(capacity: Clock.threads * Self.limit)
    events.initialize(repeating: Event(), count: Clock.threads * Self.limit)
  }

  func deallocate() { events.deallocate() }

  mutating func reset() { counts = Clock() }

  func isFull(_ thread: Int) -> Bool { counts[thread] == Self.limit }

  /// The `number`-th operation of that thread, counted from 1.
  private func event(_ thread: Int, _ number: Int) -> UnsafeMutablePointer<Event> {
    events.advanced(by: thread * Self.limit + number - 1)
  }

  private func forEach(_ body: (Int, Int, UnsafeMutablePointer<Event>) -> Void) {
    for thread in 0..<Clock.threads {
      var number = 0
      while number < counts[thread] {
        number += 1
        body(thread, number, event(thread, number))
      }
    }
  }

  /// All that comes before an operation with those ranks below it, on a thread that knows `known`.
  private func predecessors(_ location: UInt8, below rank: Int, _ known: Clock) -> Clock {
    var before = known
    for thread in 0..<Clock.threads where known[thread] > 0 {
      before.join(event(thread, known[thread]).pointee.before)
    }
    forEach { thread, number, event in
      guard event.pointee.location == location && event.pointee.rank < rank else { return }
      before.join(event.pointee.before)
      before[thread] = max(before[thread], number)
    }
    return before
  }

  /// Whether an operation may come after those of its location with ranks below `below`, and before
  /// those from `above` on.
  ///
  /// - Parameter known: what strongly happens before it.
  func allows(_ location: UInt8, below: Int, above: Int, _ known: Clock) -> Bool {
    let before = predecessors(location, below: below, known)
    var isFree = true
    forEach { thread, number, event in
      if event.pointee.location == location && event.pointee.rank >= above
        && number <= before[thread]
      {
        isFree = false
      }
    }
    return isFree
  }

  /// Adds an operation, which `allows` allowed; the parameters are the same. The thread knows it
  /// from then on.
  mutating func add(
    _ thread: Int, _ location: UInt8, rank: Int, above: Int, _ known: inout Clock
  ) {
    var before = predecessors(location, below: rank, known)
    let mine = counts[thread] + 1
    event(thread, mine).pointee = Event(location: location, rank: rank, before: before)
    counts[thread] = mine
    known[thread] = mine
    before[thread] = mine
    // What comes after one of its successors comes after it too.
    forEach { thread, number, successor in
      guard successor.pointee.location == location && successor.pointee.rank >= above
      else { return }
      forEach { _, _, later in
        if later == successor || later.pointee.before[thread] >= number {
          later.pointee.before.join(before)
        }
      }
    }
  }

  /// A store has been put into the modification order at that place.
  func shift(_ location: UInt8, from place: Int) {
    forEach { _, _, event in
      if event.pointee.location == location && event.pointee.rank >= 2 * place {
        event.pointee.rank += 2
      }
    }
  }

  func mix(into digest: inout Digest, from base: View) {
    forEach { thread, number, event in
      let place = UInt64(max(0, event.pointee.rank - 2 * base[event.pointee.location]))
      digest.mix(UInt64(thread) << 32 | UInt64(event.pointee.location) << 16 | place)
      digest.mix(event.pointee.before)
    }
  }
}

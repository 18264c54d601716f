/// What a model thread is about to do next. Every operation is a point where another thread may run.
struct Operation: Equatable {
  enum Kind: UInt8 {
    /// The thread has not begun.
    case begin
    case load
    case store
    /// Exchange, subtraction: a read-modify-write that always succeeds.
    case modify
    case compareExchange
    /// A monitor's update, always sequentially consistent.
    case monitor
    case lock
    case tryLock
    case unlock
    case park
    case unpark
    /// A spin loop waits for some store of another thread.
    case spin
  }

  var kind: Kind
  /// The location, or 255 for none.
  var location: UInt8 = 255
  var ordering = Ordering.relaxed

  @inline(__always) var writes: Bool {
    switch kind {
    case .store, .modify, .compareExchange, .monitor, .lock, .tryLock, .unlock, .park, .unpark: true
    case .begin, .load, .spin: false
    }
  }

  /// Whether the order of the two makes a difference, to anybody.
  @inline(__always)
  func conflicts(with other: Operation) -> Bool {
    // A spinning thread is woken by any store.
    if kind == .spin || other.kind == .spin { return writes || other.writes }
    // Sequentially consistent operations have one order among themselves.
    if ordering == .sequentiallyConsistent && other.ordering == .sequentiallyConsistent { return true }
    return location == other.location && location != 255 && (writes || other.writes)
  }
}

/// What a model thread is about to do next. Every operation is a point where another thread may
/// run.
struct Operation: Equatable {
  enum Kind: UInt8 {
    /// The thread has not begun.
    case begin
    case load
    case store
    /// A store that goes into the thread's own buffer (total store order).
    case buffer
    /// Exchange, addition: a read-modify-write that always succeeds.
    case modify
    case compareExchange
    /// A monitor's update.
    case monitor
    /// An allocation or a free.
    case heap
    case lock
    case tryLock
    case unlock
    case park
    case unpark
    /// A loop waits for a change of something that it has read.
    case spin
  }

  static let nowhere: UInt8 = 255
  /// Stands for the allocator, of which there is one.
  static let allocator: UInt8 = 254

  var kind: Kind
  var location = nowhere

  @inline(__always) var writes: Bool {
    switch kind {
    case .store, .modify, .compareExchange, .monitor, .heap: true
    case .lock, .tryLock, .unlock, .park, .unpark: true
    case .begin, .load, .buffer, .spin: false
    }
  }

  /// Whether the order of the two makes a difference, to anybody. A spin has no location and is
  /// looked at elsewhere.
  ///
  /// Sequentially consistent operations on different locations do not conflict: their one order is
  /// not the order of execution (see `ConsistentOrder`).
  @inline(__always)
  func conflicts(with other: Operation) -> Bool {
    location == other.location && location != Self.nowhere && (writes || other.writes)
  }
}

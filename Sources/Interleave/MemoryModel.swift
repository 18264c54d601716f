/// Which reorderings an exploration allows.
public enum MemoryModel: String, CaseIterable, Sendable {
  /// Sequential consistency: every load reads the latest store. Orderings still decide what is a
  /// race on plain data.
  case sequentiallyConsistent = "sc"
  /// Total store order, as x86-64 has it: each thread's plain stores pass through a buffer that
  /// only it can see; a read-modify-write and a sequentially consistent store empty it first.
  case totalStoreOrder = "tso"
  /// Release, acquire, relaxed and sequentially consistent operations as C11 has them: a load may
  /// read any store that coherence and happens-before allow, and a store may come anywhere in the
  /// modification order that they allow. Not produced: what needs a load to read a store that is
  /// executed later (load buffering, values out of thin air).
  case c11 = "c11"
}

/// The ordering of one operation.
public enum Ordering: UInt8, Sendable {
  case relaxed
  case acquiring
  case releasing
  case acquiringAndReleasing
  case sequentiallyConsistent

  @inline(__always) var acquires: Bool {
    self == .acquiring || self == .acquiringAndReleasing || self == .sequentiallyConsistent
  }
  @inline(__always) var releases: Bool {
    self == .releasing || self == .acquiringAndReleasing || self == .sequentiallyConsistent
  }
}

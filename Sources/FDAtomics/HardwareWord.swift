public import Synchronization

/// The word as the processor has it.
@frozen
public struct HardwareWord: ~Copyable, AtomicWord {
  @usableFromInline let atomic: Atomic<UInt64>

  /// A word that holds the value.
  @inlinable @inline(__always)
  public init(_ value: UInt64) {
    atomic = Atomic(value)
  }

  /// Orders nothing.
  @inlinable @inline(__always)
  public borrowing func loadRelaxed() -> UInt64 {
    atomic.load(ordering: .relaxed)
  }

  /// Orders what follows after it.
  @inlinable @inline(__always)
  public borrowing func loadAcquiring() -> UInt64 {
    atomic.load(ordering: .acquiring)
  }

  /// Orders nothing.
  @inlinable @inline(__always)
  public borrowing func storeRelaxed(_ value: UInt64) {
    atomic.store(value, ordering: .relaxed)
  }

  /// Orders what precedes before it.
  @inlinable @inline(__always)
  public borrowing func storeReleasing(_ value: UInt64) {
    atomic.store(value, ordering: .releasing)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func weakCompareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.weakCompareExchange(
      expected: expected, desired: desired,
      successOrdering: .acquiring, failureOrdering: .relaxed)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func weakCompareExchangeReleasing(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.weakCompareExchange(
      expected: expected, desired: desired,
      successOrdering: .releasing, failureOrdering: .relaxed)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func compareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.compareExchange(
      expected: expected, desired: desired,
      successOrdering: .acquiring, failureOrdering: .relaxed)
  }

  /// Stores the value and returns the former one.
  @inlinable @inline(__always)
  public borrowing func exchangeAcquiring(_ value: UInt64) -> UInt64 {
    atomic.exchange(value, ordering: .acquiring)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func subtractReleasing(_ amount: UInt64) -> UInt64 {
    atomic.wrappingSubtract(amount, ordering: .releasing).newValue
  }

  /// Does nothing.
  @inlinable @inline(__always)
  public static func delay(at point: DelayPoint, _ value: UInt64) {}
}

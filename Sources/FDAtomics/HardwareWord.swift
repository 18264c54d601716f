public import Synchronization

/// The word as the processor has it.
@frozen
public struct HardwareWord: ~Copyable, AtomicWord {
  @usableFromInline let atomic: Atomic<UInt64>

  @inlinable @inline(__always)
  public init(_ value: UInt64) {
    atomic = Atomic(value)
  }

  @inlinable @inline(__always)
  public borrowing func loadRelaxed() -> UInt64 {
    atomic.load(ordering: .relaxed)
  }

  @inlinable @inline(__always)
  public borrowing func loadAcquiring() -> UInt64 {
    atomic.load(ordering: .acquiring)
  }

  @inlinable @inline(__always)
  public borrowing func storeRelaxed(_ value: UInt64) {
    atomic.store(value, ordering: .relaxed)
  }

  @inlinable @inline(__always)
  public borrowing func storeReleasing(_ value: UInt64) {
    atomic.store(value, ordering: .releasing)
  }

  @inlinable @inline(__always)
  public borrowing func weakCompareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.weakCompareExchange(
      expected: expected, desired: desired,
      successOrdering: .acquiring, failureOrdering: .relaxed)
  }

  @inlinable @inline(__always)
  public borrowing func weakCompareExchangeReleasing(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.weakCompareExchange(
      expected: expected, desired: desired,
      successOrdering: .releasing, failureOrdering: .relaxed)
  }

  @inlinable @inline(__always)
  public borrowing func compareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.compareExchange(
      expected: expected, desired: desired,
      successOrdering: .acquiring, failureOrdering: .relaxed)
  }

  @inlinable @inline(__always)
  public borrowing func exchangeAcquiring(_ value: UInt64) -> UInt64 {
    atomic.exchange(value, ordering: .acquiring)
  }

  @inlinable @inline(__always)
  public borrowing func subtractReleasing(_ amount: UInt64) -> UInt64 {
    atomic.wrappingSubtract(amount, ordering: .releasing).newValue
  }
}

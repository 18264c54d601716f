public import FDAtomics

/// The hardware word, with the places between the steps of the protocols on it drawn out as the
/// present `DelayPlan` says, and on record in the `Chronicle`.
@frozen
public struct DelayedWord: ~Copyable, AtomicWord {
  @usableFromInline let word: HardwareWord

  /// A word that holds the value.
  @inlinable @inline(__always)
  public init(_ value: UInt64) { word = HardwareWord(value) }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func loadRelaxed() -> UInt64 { word.loadRelaxed() }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func loadAcquiring() -> UInt64 { word.loadAcquiring() }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func storeRelaxed(_ value: UInt64) { word.storeRelaxed(value) }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func storeReleasing(_ value: UInt64) { word.storeReleasing(value) }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func weakCompareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    word.weakCompareExchangeAcquiring(expected: expected, desired: desired)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func weakCompareExchangeReleasing(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    word.weakCompareExchangeReleasing(expected: expected, desired: desired)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func compareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    word.compareExchangeAcquiring(expected: expected, desired: desired)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func exchangeAcquiring(_ value: UInt64) -> UInt64 {
    word.exchangeAcquiring(value)
  }

  /// See `AtomicWord`.
  @inlinable @inline(__always)
  public borrowing func subtractReleasing(_ amount: UInt64) -> UInt64 {
    word.subtractReleasing(amount)
  }

  /// Takes note, and now and then loses some time.
  @inlinable @inline(__always)
  public static func delay(at point: DelayPoint, _ value: UInt64) {
    ThreadDelays.pass(point, value)
  }
}

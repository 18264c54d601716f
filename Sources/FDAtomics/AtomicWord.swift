/// One atomic 64-bit word: all that the lock-free parts of this package share between threads.
///
/// The ownership word, the mailbox and whatever else is lock-free are generic over this protocol,
/// so that the very source that runs on hardware also runs where every interleaving is explored. In
/// a release build the generic code is specialised for `HardwareWord` and the protocol leaves no
/// trace.
///
/// The memory ordering is part of each method's name and never an argument: the standard library
/// wants it to be a constant, which an argument of a protocol's method cannot be. A method exists
/// only if somebody needs it; each caller says beside the call which edge its ordering makes.
///
/// Every method may be called from any thread.
public protocol AtomicWord: ~Copyable, Sendable {
  init(_ value: UInt64)

  borrowing func loadRelaxed() -> UInt64
  borrowing func loadAcquiring() -> UInt64
  borrowing func storeRelaxed(_ value: UInt64)
  borrowing func storeReleasing(_ value: UInt64)

  /// Stores `desired` if the word is `expected`; may fail although it is. A failure is a relaxed
  /// load.
  ///
  /// - Returns: whether it was stored, and the value that was there before.
  borrowing func weakCompareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64)

  /// As `weakCompareExchangeAcquiring(expected:desired:)`, releasing.
  borrowing func weakCompareExchangeReleasing(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64)

  /// As `weakCompareExchangeAcquiring(expected:desired:)`, but it fails only if the word differs.
  borrowing func compareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64)

  borrowing func exchangeAcquiring(_ value: UInt64) -> UInt64

  /// Subtracts with wraparound. Returns the value afterwards.
  borrowing func subtractReleasing(_ amount: UInt64) -> UInt64

  /// Passes a place between two steps of a protocol that is built on this word. The words that
  /// production runs on do nothing here, and no instruction is left of the call.
  ///
  /// There is no implementation by default: a file that does not import the module of its word
  /// would call that one.
  ///
  /// - Parameters:
  ///   - point: the place.
  ///   - value: what is known there, as the point says.
  static func delay(at point: DelayPoint, _ value: UInt64)
}

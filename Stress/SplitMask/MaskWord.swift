public import FDAtomics
import FDPoller
public import Synchronization

/// One atomic word of the split-mask protocol: a mask or a flag.
///
/// A protocol of its own, since production's `AtomicWord` has no sequentially consistent
/// operations and needs none. The ordering is part of the name, as there.
public protocol MaskWord: ~Copyable, Sendable {
  init(_ value: UInt64)

  borrowing func loadRelaxed() -> UInt64
  borrowing func loadSequentiallyConsistent() -> UInt64
  borrowing func storeReleasing(_ value: UInt64)
  borrowing func storeSequentiallyConsistent(_ value: UInt64)

  /// Sets bits. Returns the former value.
  borrowing func fetchOrSequentiallyConsistent(_ bits: UInt64) -> UInt64

  /// Keeps only these bits. Returns the former value.
  borrowing func fetchAndSequentiallyConsistent(_ bits: UInt64) -> UInt64

  /// Stores `desired` if the word is `expected`.
  ///
  /// - Returns: whether it was stored, and the value that was there before.
  borrowing func compareExchangeSequentiallyConsistent(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64)

  /// Passes a place between two steps, as `AtomicWord.delay(at:_:)` has it.
  static func delay(at point: DelayPoint, _ value: UInt64)
}

/// The word as the processor has it.
@frozen
public struct HardwareMaskWord: ~Copyable, MaskWord {
  @usableFromInline let atomic: Atomic<UInt64>

  /// A word that holds the value.
  @inlinable
  public init(_ value: UInt64) { atomic = Atomic(value) }

  /// See `MaskWord`.
  @inlinable
  public borrowing func loadRelaxed() -> UInt64 { atomic.load(ordering: .relaxed) }

  /// See `MaskWord`.
  @inlinable
  public borrowing func loadSequentiallyConsistent() -> UInt64 {
    atomic.load(ordering: .sequentiallyConsistent)
  }

  /// See `MaskWord`.
  @inlinable
  public borrowing func storeReleasing(_ value: UInt64) {
    atomic.store(value, ordering: .releasing)
  }

  /// See `MaskWord`.
  @inlinable
  public borrowing func storeSequentiallyConsistent(_ value: UInt64) {
    atomic.store(value, ordering: .sequentiallyConsistent)
  }

  /// See `MaskWord`.
  @inlinable
  public borrowing func fetchOrSequentiallyConsistent(_ bits: UInt64) -> UInt64 {
    atomic.bitwiseOr(bits, ordering: .sequentiallyConsistent).oldValue
  }

  /// See `MaskWord`.
  @inlinable
  public borrowing func fetchAndSequentiallyConsistent(_ bits: UInt64) -> UInt64 {
    atomic.bitwiseAnd(bits, ordering: .sequentiallyConsistent).oldValue
  }

  /// See `MaskWord`.
  @inlinable
  public borrowing func compareExchangeSequentiallyConsistent(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    atomic.compareExchange(
      expected: expected, desired: desired, ordering: .sequentiallyConsistent)
  }

  /// As the word does that the poller of this build runs on.
  public static func delay(at point: DelayPoint, _ value: UInt64) {
    point.pass(value)
  }
}

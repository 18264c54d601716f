/// Which incarnation of a descriptor number is meant: how often the number has been closed before.
///
/// Handles and events carry 44 bits of it (they share a 64-bit word with the number), the ownership
/// word the low 24. A number that is closed a million times a second comes round to the same 44
/// bits after half a year; the 24 bits are only trusted together with the 44 beside them.
@frozen
public struct Generation: Sendable, Hashable {
  /// The number of bits that count.
  public static let bits: UInt64 = 44

  /// The count, below 2^44.
  public let rawValue: UInt64

  /// - Parameter rawValue: bits above the 44th are dropped.
  @inlinable @inline(__always)
  public init(rawValue: UInt64) {
    self.rawValue = rawValue & (1 << Self.bits - 1)
  }

  @usableFromInline var next: Generation {
    @inlinable get { Generation(rawValue: rawValue + 1) }
  }

  /// The low bits at their place in the word.
  @usableFromInline var wordField: UInt64 {
    @inlinable @inline(__always) get { rawValue << OwnershipState.generationShift }
  }
}

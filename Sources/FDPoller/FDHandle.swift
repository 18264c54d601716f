public import FDOwnership

/// One incarnation of a descriptor number: what a program holds to speak of a descriptor that the
/// poller owns.
///
/// A handle outlives its descriptor without harm: whatever is asked of it then answers that it is
/// gone, even if the number has been used again. Handle and kernel event are the same 64 bits, so
/// an event is compared with the slot before anything else is done with it.
public struct FDHandle: Sendable, Hashable {
  /// The number of bits that hold the descriptor number, and so the limit of the descriptor table.
  static let numberBits: UInt64 = 64 - Generation.bits

  package let rawValue: UInt64

  /// Of no descriptor: asked anything, it is gone.
  package static let none = FDHandle(rawValue: .max)

  package init(rawValue: UInt64) { self.rawValue = rawValue }

  package init(fd: Int32, generation: Generation) {
    rawValue = generation.rawValue << Self.numberBits | UInt64(UInt32(bitPattern: fd))
  }

  /// The descriptor number. It means this descriptor only as long as the handle is live.
  public var fd: Int32 {
    Int32(truncatingIfNeeded: rawValue & (1 << Self.numberBits - 1))
  }

  /// Which incarnation of the number is meant.
  public var generation: Generation { Generation(rawValue: rawValue >> Self.numberBits) }
}

extension FDHandle: CustomStringConvertible {
  /// `fd 7 (generation 3)`
  public var description: String { "fd \(fd) (generation \(generation.rawValue))" }
}

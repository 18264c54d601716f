/// What is to become of a descriptor.
@frozen
public enum Fate: UInt64, Sendable {
  case live = 0
  /// Must close: whoever finds nobody inside runs the orphan deletion, which closes the descriptor.
  case condemned = 1
  /// As `condemned`, but the descriptor leaves the poller open.
  case disowned = 2
  /// One thread is alone with the slot: to set it up, or for the orphan deletion.
  case sealed = 3
}

/// One value of the ownership word, taken apart.
///
///     63          40 39   34 33  32 31          16 15           0
///     | generation | group  | fate | running mask | thread mask |
///          24          6       2         16             16
///
/// Two states have group 0, nobody's: *free* (fate live, both masks empty) and *sealed* (fate
/// sealed). A word of a number that was never used is all zeros, which is free.
@frozen
public struct OwnershipState: Sendable, Hashable {
  @usableFromInline static let runningShift: UInt64 = 16
  @usableFromInline static let fateShift: UInt64 = 32
  @usableFromInline static let groupShift: UInt64 = 34
  @usableFromInline static let generationShift: UInt64 = 40
  @usableFromInline static let threadField: UInt64 = 0xFFFF
  @usableFromInline static let runningField: UInt64 = 0xFFFF << 16
  @usableFromInline static let fateField: UInt64 = 0b11 << 32
  @usableFromInline static let groupField: UInt64 = 0x3F << 34
  @usableFromInline static let generationField: UInt64 = 0xFFFFFF << 40

  /// The word as it stands in memory.
  public let rawValue: UInt64

  /// Takes a word apart.
  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The threads of the group that may run the handler.
  @inlinable public var threads: ThreadMask {
    ThreadMask(rawValue: UInt16(truncatingIfNeeded: rawValue))
  }
  /// The threads of the group that are inside right now.
  @inlinable public var running: ThreadMask {
    ThreadMask(rawValue: UInt16(truncatingIfNeeded: rawValue >> Self.runningShift))
  }
  /// Whether it lives, and if not, how it is to end.
  @inlinable public var fate: Fate {
    switch (rawValue & Self.fateField) >> Self.fateShift {
    case Fate.live.rawValue: .live
    case Fate.condemned.rawValue: .condemned
    case Fate.disowned.rawValue: .disowned
    default: .sealed
    }
  }
  /// 1 to 63, or 0 if the descriptor is nobody's.
  @inlinable public var group: Int { Int((rawValue & Self.groupField) >> Self.groupShift) }
  /// The low 24 bits of the generation.
  @inlinable public var generationBits: UInt64 { rawValue >> Self.generationShift }

  /// Whether the slot is free for an insert.
  @inlinable public var isFree: Bool { rawValue & ~Self.generationField == 0 }
  /// Whether one thread is alone with the slot.
  @inlinable public var isSealed: Bool {
    rawValue & (Self.groupField | Self.fateField) == Fate.sealed.rawValue << Self.fateShift
  }
}

extension OwnershipState: CustomStringConvertible {
  /// The state in words: `live, generation 7, group 1, threads 0 2, running 2`.
  public var description: String {
    if isFree { return "free, generation \(generationBits)" }
    if isSealed { return "sealed, generation \(generationBits)" }
    func list(_ mask: ThreadMask) -> String {
      mask.isEmpty ? "none" : mask.indices.map(String.init).joined(separator: " ")
    }
    return "\(fate), generation \(generationBits), group \(group), "
      + "threads \(list(threads)), running \(list(running))"
  }
}

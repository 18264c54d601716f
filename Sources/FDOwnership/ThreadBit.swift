/// A thread's place in the ownership word: its group, and its bit in the masks of that group.
///
/// The same bit means another thread in another group, so the two are never compared apart.
@frozen
public struct ThreadBit: Sendable, Hashable {
  /// The number of groups a word can name; group 0 means that nobody owns the descriptor.
  public static let maximumGroups = 63
  /// The number of threads that fit into the masks of one group.
  public static let threadsPerGroup = 16

  /// The group, already at its place in the word.
  @usableFromInline let groupField: UInt64
  /// The one bit, at its place in the thread mask; the running mask's bit is 16 places higher.
  @usableFromInline let threadField: UInt64

  /// - Parameters:
  ///   - group: 1 to `maximumGroups`.
  ///   - index: the thread's number in its group, 0 to `threadsPerGroup` - 1.
  @inlinable
  public init(group: Int, index: Int) {
    precondition(1...Self.maximumGroups ~= group, "a group is numbered 1 to 63")
    precondition(0..<Self.threadsPerGroup ~= index, "a group has at most 16 threads")
    groupField = UInt64(group) << OwnershipState.groupShift
    threadField = 1 << UInt64(index)
  }

  /// The group, 1 to 63.
  @inlinable public var group: Int { Int(groupField >> OwnershipState.groupShift) }
  /// The number of the thread in its group, 0 to 15.
  @inlinable public var index: Int { threadField.trailingZeroBitCount }
  /// The set of this thread alone.
  @inlinable public var mask: ThreadMask { ThreadMask(rawValue: UInt16(threadField)) }

  @usableFromInline var runningField: UInt64 {
    @inlinable @inline(__always) get { threadField << OwnershipState.runningShift }
  }
}

/// A set of threads of one group.
@frozen
public struct ThreadMask: OptionSet, Sendable, Hashable {
  /// One bit per thread of the group.
  public let rawValue: UInt16

  /// The threads whose bits are set.
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The indices of the threads in the set, ascending.
  public var indices: [Int] { (0..<ThreadBit.threadsPerGroup).filter { rawValue & 1 << $0 != 0 } }
}

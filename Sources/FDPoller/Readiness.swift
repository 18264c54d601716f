/// What a handler wants to be told about a descriptor.
public struct Interest: OptionSet, Sendable, Hashable {
  /// One bit per direction.
  public let rawValue: UInt8

  /// The directions whose bits are set.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// There is something to read, accept or find out, the end of the stream included.
  public static let read = Interest(rawValue: 1 << 0)
  /// There is room to write, or a connect has finished.
  public static let write = Interest(rawValue: 1 << 1)
}

/// What the kernel says about a descriptor. The bits are those of poll(2).
///
/// Readiness may be spurious: a handler tries, and takes "would block" for an answer.
public struct Readiness: OptionSet, Sendable, Hashable {
  /// The bits of poll(2).
  public let rawValue: UInt32

  /// What the bits of poll(2) say.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// There is something to read or accept, or the end of the stream.
  public static let read = Readiness(rawValue: 0x001)
  /// There is room to write.
  public static let write = Readiness(rawValue: 0x004)
  /// An error is pending; the next operation returns it. Told without being asked for.
  public static let error = Readiness(rawValue: 0x008)
  /// Both directions are shut. Told without being asked for.
  public static let hangUp = Readiness(rawValue: 0x010)

  /// An attempt to read or accept is worth while: it would tell of an error or hang-up too.
  @inlinable public var mayRead: Bool { !isDisjoint(with: [.read, .error, .hangUp]) }
  /// An attempt to write is worth while.
  @inlinable public var mayWrite: Bool { !isDisjoint(with: [.write, .error, .hangUp]) }
}

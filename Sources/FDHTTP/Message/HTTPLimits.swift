/// The most that is accepted of a message. What goes beyond is refused, not cut.
public struct HTTPLimits: Sendable, Equatable {
  /// Bytes of the first line, without its CRLF.
  public var startLineBytes = 8 << 10
  /// Bytes of the head, first line and empty line included; of a trailer section too.
  public var headBytes = 32 << 10
  /// Fields of a head; of a trailer section too.
  public var fields = 100

  /// The limits as each says it is by default.
  public init() {}
}

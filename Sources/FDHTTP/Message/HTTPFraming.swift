/// How the end of a body is found (RFC 9112, section 6.3).
public enum HTTPFraming: Sendable, Equatable {
  /// So many bytes; 0 is no body.
  case length(UInt64)
  case chunked
  /// With the connection: responses only.
  case untilClose
}

/// The methods that change how a message is treated.
public enum HTTPMethod: UInt8, Sendable {
  case get, head, post, put, delete, connect, options, trace, patch, other

  /// Whether doing it twice is as good as once (RFC 9110, section 9.2.2).
  public var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options, .trace: true
    case .post, .connect, .patch, .other: false
    }
  }

  /// Whether a body means something to it (RFC 9110, section 9.3).
  public var definesBody: Bool {
    switch self {
    case .post, .put, .patch, .other: true
    case .get, .head, .delete, .connect, .options, .trace: false
    }
  }

  init(_ bytes: RawSpan, _ range: Range<Int>) {
    func matches(_ word: StaticString) -> Bool {
      for index in 0..<word.utf8CodeUnitCount
      where byte(bytes, range.lowerBound &+ index) != word.utf8Start[index] {
        return false
      }
      return true
    }
    self = .other
    switch range.count {
    case 3:
      if matches("GET") { self = .get } else if matches("PUT") { self = .put }
    case 4:
      if matches("POST") { self = .post } else if matches("HEAD") { self = .head }
    case 5:
      if matches("PATCH") { self = .patch } else if matches("TRACE") { self = .trace }
    case 6:
      if matches("DELETE") { self = .delete }
    case 7:
      if matches("OPTIONS") { self = .options } else if matches("CONNECT") { self = .connect }
    default: break
    }
  }
}

/// The fields that framing, forwarding and logging look at; every other one is `other`.
public enum HTTPFieldName: UInt8, Sendable {
  case other
  case connection, contentLength, transferEncoding, host, expect, upgrade, te, trailer
  case keepAlive, proxyConnection, proxyAuthenticate, proxyAuthorization
  case via, forwarded, xForwardedFor
  case date, server, userAgent, referer

  /// Whether it concerns one connection only and is not passed on (RFC 9110, section 7.6.1).
  public var isHopByHop: Bool {
    switch self {
    case .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade, .trailer,
      .proxyAuthenticate, .proxyAuthorization:
      true
    default: false
    }
  }

  /// Whether a message is read differently without it: Connection must not name it, and it must not
  /// be in a trailer section (RFC 9110, section 6.5.1).
  var isEssential: Bool {
    switch self {
    case .contentLength, .transferEncoding, .host, .connection, .expect: true
    default: false
    }
  }

  /// - Parameters:
  ///   - bytes: of the message.
  ///   - start: of the name.
  ///   - count: of its bytes.
  @inline(__always)
  init(_ bytes: RawSpan, _ start: Int, _ count: Int) {
    self = .other
    switch count {
    case 2: self.match(bytes, start, "te", .te)
    case 3: self.match(bytes, start, "via", .via)
    case 4:
      self.match(bytes, start, "host", .host)
      self.match(bytes, start, "date", .date)
    case 6:
      self.match(bytes, start, "expect", .expect)
      self.match(bytes, start, "server", .server)
    case 7:
      self.match(bytes, start, "upgrade", .upgrade)
      self.match(bytes, start, "referer", .referer)
      self.match(bytes, start, "trailer", .trailer)
    case 9: self.match(bytes, start, "forwarded", .forwarded)
    case 10:
      self.match(bytes, start, "connection", .connection)
      self.match(bytes, start, "user-agent", .userAgent)
      self.match(bytes, start, "keep-alive", .keepAlive)
    case 14: self.match(bytes, start, "content-length", .contentLength)
    case 15: self.match(bytes, start, "x-forwarded-for", .xForwardedFor)
    case 16: self.match(bytes, start, "proxy-connection", .proxyConnection)
    case 17: self.match(bytes, start, "transfer-encoding", .transferEncoding)
    case 18: self.match(bytes, start, "proxy-authenticate", .proxyAuthenticate)
    case 19: self.match(bytes, start, "proxy-authorization", .proxyAuthorization)
    default: break
    }
  }

  @inline(__always)
  private mutating func match(
    _ bytes: RawSpan, _ start: Int, _ word: StaticString, _ name: HTTPFieldName
  ) {
    if self == .other && Syntax.matches(bytes, start, word) { self = name }
  }
}

/// Host and path as routes compare them.
enum RouteText {
  /// Without the port.
  @_lifetime(copy authority)
  static func host(of authority: RawSpan) -> RawSpan {
    var end = authority.byteCount
    while end > 0, isDigit(at(authority, end - 1)) { end -= 1 }
    guard end > 0, at(authority, end - 1) == UInt8(ascii: ":") else { return authority }
    return authority.extracting(0..<end - 1)
  }

  /// Without the query.
  @_lifetime(copy target)
  static func path(of target: RawSpan) -> RawSpan {
    for offset in 0..<target.byteCount where at(target, offset) == UInt8(ascii: "?") {
      return target.extracting(0..<offset)
    }
    return target
  }

  /// - Parameter pattern: in lower case; `*.` in front stands for any labels, at least one.
  static func matches(_ host: RawSpan, _ pattern: String) -> Bool {
    guard pattern.hasPrefix("*.") else {
      return host.byteCount == pattern.utf8.count && isSuffix(host, pattern.utf8[...])
    }
    let suffix = pattern.utf8.dropFirst()
    return host.byteCount > suffix.count && isSuffix(host, suffix)
  }

  private static func isSuffix(_ host: RawSpan, _ suffix: Substring.UTF8View) -> Bool {
    var offset = host.byteCount - suffix.count
    guard offset >= 0 else { return false }
    for byte in suffix {
      var other = at(host, offset)
      if other &- 0x41 < 26 { other |= 0x20 }
      guard byte == other else { return false }
      offset += 1
    }
    return true
  }

  /// Whether the prefix ends where a segment of the path does.
  static func begins(_ path: RawSpan, with prefix: String) -> Bool {
    let prefix = prefix.utf8.last == UInt8(ascii: "/") ? prefix.utf8.dropLast() : prefix.utf8[...]
    guard path.byteCount >= prefix.count else { return false }
    var offset = 0
    for byte in prefix {
      guard byte == at(path, offset) else { return false }
      offset += 1
    }
    return path.byteCount == offset || at(path, offset) == UInt8(ascii: "/")
  }

  private static func at(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
    bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
}

/// The rules for a request's target and host (RFC 9112, section 3.2).
enum RequestTarget {
  /// Checks the target's form against the method, and the host.
  static func check(_ head: HTTPHeadReader, _ bytes: RawSpan) throws(HTTPViolation) {
    let target = head.second
    if let host = head.facts.host {
      try checkAuthority(bytes, head.fields[host].value, mayBeEmpty: true)
    } else if head.minorVersion > 0 {
      throw HTTPViolation(.missingHost)
    }
    let isConnect = isExactly(bytes, head.first, "CONNECT")
    switch byte(bytes, target.lowerBound) {
    case UInt8(ascii: "/") where !isConnect:
      return
    case UInt8(ascii: "*") where target.count == 1 && isExactly(bytes, head.first, "OPTIONS"):
      return
    default:
      break
    }
    guard let authority = isConnect ? target : authority(bytes, target) else {
      throw HTTPViolation(.targetForm)
    }
    try checkAuthority(bytes, authority, mayBeEmpty: false, else: .targetForm)
    guard !isConnect || hasPort(bytes, target) else { throw HTTPViolation(.targetForm) }
    guard let host = head.facts.host else { return }
    // A recipient uses the target's authority and ignores Host; one that does not must not differ.
    let value = head.fields[host].value
    guard value.count == authority.count else { throw HTTPViolation(.contradictingHost) }
    for index in 0..<value.count {
      let one = Syntax.lowercased(byte(bytes, value.lowerBound + index))
      let other = Syntax.lowercased(byte(bytes, authority.lowerBound + index))
      guard one == other else { throw HTTPViolation(.contradictingHost) }
    }
  }

  /// The authority of a target in absolute form, `http://authority/path`; nil if it is none.
  static func authority(_ bytes: RawSpan, _ target: Range<Int>) -> Range<Int>? {
    var start = target.lowerBound
    if target.count > 7 && Syntax.matches(bytes, start, "http://") {
      start += 7
    } else if target.count > 8 && Syntax.matches(bytes, start, "https://") {
      start += 8
    } else {
      return nil
    }
    var end = start
    while end < target.upperBound, byte(bytes, end) != UInt8(ascii: "/"),
      byte(bytes, end) != UInt8(ascii: "?")
    {
      end += 1
    }
    return start..<end
  }

  /// A host and a port, and no user information (RFC 3986, section 3.2). Percent signs are for
  /// registered names, brackets and colons for IPv6.
  private static func checkAuthority(
    _ bytes: RawSpan, _ range: Range<Int>, mayBeEmpty: Bool,
    else reason: HTTPViolation.Reason = .malformedHost
  ) throws(HTTPViolation) {
    guard !range.isEmpty else {
      if mayBeEmpty { return }
      throw HTTPViolation(reason)
    }
    var end = range.upperBound
    // Digits behind the last colon are a port, which may be empty.
    while end > range.lowerBound, Syntax.isDigit(byte(bytes, end - 1)) { end -= 1 }
    let hasPort = end > range.lowerBound && byte(bytes, end - 1) == UInt8(ascii: ":")
    end = hasPort ? end - 1 : range.upperBound
    let isBracketed = byte(bytes, range.lowerBound) == UInt8(ascii: "[")
    if isBracketed {
      guard end - range.lowerBound > 2, byte(bytes, end - 1) == UInt8(ascii: "]") else {
        throw HTTPViolation(reason)
      }
      for offset in range.lowerBound + 1..<end - 1
      where Syntax.hexDigit(byte(bytes, offset)) == nil && byte(bytes, offset) != UInt8(ascii: ":")
        && byte(bytes, offset) != UInt8(ascii: ".")
      {
        throw HTTPViolation(reason)
      }
      return
    }
    guard end > range.lowerBound else { throw HTTPViolation(reason) }
    // Not a range, whose iterator checks each step.
    var offset = range.lowerBound
    while offset < end {
      guard Syntax.isNameCharacter(byte(bytes, offset)) else { throw HTTPViolation(reason) }
      offset &+= 1
    }
  }

  /// Whether a port that exists ends it: nothing is connected to by default (RFC 9110, section
  /// 9.3.6).
  private static func hasPort(_ bytes: RawSpan, _ range: Range<Int>) -> Bool {
    var (port, scale) = (0, 1)
    for offset in range.reversed() {
      let byte = byte(bytes, offset)
      if byte == UInt8(ascii: ":") { return 1...65535 ~= port }
      guard Syntax.isDigit(byte), scale <= 10_000 else { return false }
      port += Int(byte - 0x30) * scale
      scale *= 10
    }
    return false
  }

  private static func isExactly(
    _ bytes: RawSpan, _ range: Range<Int>, _ word: StaticString
  ) -> Bool {
    guard range.count == word.utf8CodeUnitCount else { return false }
    for index in 0..<range.count
    where byte(bytes, range.lowerBound + index) != word.utf8Start[index] {
      return false
    }
    return true
  }
}

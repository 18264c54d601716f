extension HTTPHeadReader {
  /// A client may send one empty line before a request (RFC 9112, section 2.2).
  func skipEmptyLine(_ bytes: RawSpan) throws(HTTPViolation) -> Int {
    guard bytes.byteCount > 0, byte(bytes, 0) == Syntax.carriageReturn else { return 0 }
    guard bytes.byteCount > 1 else { return 0 }
    guard byte(bytes, 1) == Syntax.lineFeed else { throw HTTPViolation(.bareCarriageReturn) }
    return 2
  }

  /// Returns where the line after it begins; nil if it is not complete.
  func requestLine(_ bytes: RawSpan, from start: Int) throws(HTTPViolation) -> Int? {
    let end = bytes.byteCount
    let limit = start + limits.startLineBytes
    var offset = Syntax.endOfToken(bytes, from: start)
    guard offset <= limit else { throw HTTPViolation(.requestLineTooLong) }
    guard offset < end else { return nil }
    guard byte(bytes, offset) == Syntax.space, offset > start else {
      return try refuse(bytes, offset, .malformedMethod)
    }
    first = start..<offset
    let target = offset + 1
    offset = Syntax.endOfTarget(bytes, from: target)
    guard offset <= limit else { throw HTTPViolation(.requestLineTooLong) }
    guard offset < end else { return nil }
    guard byte(bytes, offset) == Syntax.space, offset > target else {
      return try refuse(bytes, offset, .malformedTarget)
    }
    second = target..<offset
    offset += 1
    guard try version(bytes, offset) else { return nil }
    offset += 8
    guard offset <= limit else { throw HTTPViolation(.requestLineTooLong) }
    return try endOfLine(bytes, offset, else: .malformedVersion)
  }

  /// Returns where the line after it begins; nil if it is not complete.
  func statusLine(_ bytes: RawSpan) throws(HTTPViolation) -> Int? {
    let end = bytes.byteCount
    guard try version(bytes, 0) else { return nil }
    guard end >= 13 else {
      // The shortest that is whole is "HTTP/1.1 200" and its CRLF.
      return nil
    }
    var code: UInt16 = 0
    for offset in 9..<12 {
      guard Syntax.isDigit(byte(bytes, offset)) else { throw HTTPViolation(.malformedStatus) }
      code = code * 10 + UInt16(byte(bytes, offset) - 0x30)
    }
    guard byte(bytes, 8) == Syntax.space, 100...599 ~= code else {
      throw HTTPViolation(.malformedStatus)
    }
    status = HTTPStatus(rawValue: code)
    // Servers leave out the space before a phrase that they leave out.
    guard byte(bytes, 12) == Syntax.space else {
      second = 12..<12
      return try endOfLine(bytes, 12, else: .malformedStatus)
    }
    let offset = Syntax.endOfFieldValue(bytes, from: 13)
    guard offset <= limits.startLineBytes else { throw HTTPViolation(.headTooLong) }
    guard offset < end else { return nil }
    second = 13..<offset
    return try endOfLine(bytes, offset, else: .malformedStatus)
  }

  /// Whether a whole version is there; false if it is not complete.
  @inline(__always)
  private func version(_ bytes: RawSpan, _ start: Int) throws(HTTPViolation) -> Bool {
    if bytes.byteCount >= start &+ 8 {
      // "HTTP/1.0" and "HTTP/1.1" as numbers, which differ in the last byte's last bit.
      let word = Syntax.eight(bytes, start)
      if word & ~(1 << 56) == 0x302e_312f_5054_5448 {
        minorVersion = UInt8(truncatingIfNeeded: word >> 56) & 1
        return true
      }
    }
    return try strangeVersion(bytes, start)
  }

  /// The same of one that is not complete, or none.
  private func strangeVersion(_ bytes: RawSpan, _ start: Int) throws(HTTPViolation) -> Bool {
    let name: StaticString = "HTTP/"
    for index in 0..<min(5, bytes.byteCount - start)
    where byte(bytes, start + index) != name.utf8Start[index] {
      throw HTTPViolation(.malformedVersion)
    }
    guard bytes.byteCount >= start + 8 else { return false }
    let (major, dot, minor) = (
      byte(bytes, start + 5), byte(bytes, start + 6), byte(bytes, start + 7)
    )
    guard Syntax.isDigit(major), dot == UInt8(ascii: "."), Syntax.isDigit(minor) else {
      throw HTTPViolation(.malformedVersion)
    }
    throw HTTPViolation(.unsupportedVersion)
  }
}

/// Reads heads and trailer sections, and keeps where in the bytes their fields are.
///
/// One reader serves all messages of a loop: it holds no bytes, only offsets into those that it was
/// given last, and allocates nothing after it is made. What RFC 9112 lets a recipient repair is
/// refused instead, so that no two parsers can read a message differently: lines end with CRLF,
/// nothing is folded, names touch their colons, and there is one way to tell a body's length.
public final class HTTPHeadReader {
  /// The most that is accepted.
  public let limits: HTTPLimits
  let fields: UnsafeMutablePointer<HTTPField>
  // One thread at a time reads, and nothing here calls out while it writes: the checks of exclusive
  // access would cost a third of reading a short head.
  @exclusivity(unchecked) var count = 0
  /// Of the head that was read last, and no view is made of less; out of reach if that was refused
  /// or is not complete.
  @exclusivity(unchecked) var end = Int.max
  /// The lines before the fields: method and target of a request, phrase of a response.
  @exclusivity(unchecked) var first = 0..<0
  @exclusivity(unchecked) var second = 0..<0
  @exclusivity(unchecked) var minorVersion: UInt8 = 1
  @exclusivity(unchecked) var status = HTTPStatus.ok
  @exclusivity(unchecked) var facts = HTTPFieldFacts()

  /// - Parameter limits: of the messages; at least one field, and at most 1 GiB of bytes.
  public init(limits: HTTPLimits = HTTPLimits()) {
    precondition(limits.fields > 0 && limits.headBytes < 1 << 30, "limits of heads")
    self.limits = limits
    fields = .allocate(capacity: limits.fields)
  }

  deinit { fields.deallocate() }

  // MARK: Heads

  /// Reads the head of a request.
  ///
  /// - Parameter bytes: from the first byte of the request on; what follows the head is left alone.
  /// - Returns: the length of the head in bytes, with the empty line; nil if it is not complete and
  ///   nothing is wrong with it so far. `request(in:)` then shows it.
  /// - Throws: `HTTPViolation` at the first rule that it breaks.
  public func readRequest(_ bytes: RawSpan) throws(HTTPViolation) -> Int? {
    let start = try skipEmptyLine(bytes)
    let head = bytes.extracting(first: start + limits.headBytes)
    guard let line = try requestLine(head, from: start),
      let end = try fieldSection(head, from: line)
    else { return try wait(for: head, in: bytes) }
    try facts.settleRequest(self, head)
    self.end = end
    return end
  }

  /// Reads the head of a response. See `readRequest` for the rest.
  public func readResponse(_ bytes: RawSpan) throws(HTTPViolation) -> Int? {
    let head = bytes.extracting(first: limits.headBytes)
    guard let line = try statusLine(head), let end = try fieldSection(head, from: line)
    else { return try wait(for: head, in: bytes) }
    try facts.settleResponse(self, head)
    self.end = end
    return end
  }

  /// Reads a trailer section, which ends with an empty line as a head does.
  public func readTrailers(_ bytes: RawSpan) throws(HTTPViolation) -> Int? {
    let section = bytes.extracting(first: limits.headBytes)
    guard let end = try fieldSection(section, from: 0)
    else { return try wait(for: section, in: bytes) }
    for index in 0..<count where fields[index].name.isEssential {
      throw HTTPViolation(.essentialTrailer)
    }
    self.end = end
    return end
  }

  /// Only as much is looked at as a head may be long, so that how the bytes arrive does not change
  /// what is found wrong with them first.
  private func wait(for head: RawSpan, in bytes: RawSpan) throws(HTTPViolation) -> Int? {
    guard bytes.byteCount == head.byteCount else { throw HTTPViolation(.headTooLong) }
    return nil
  }

  // MARK: Ends of lines

  /// Steps over a CRLF.
  ///
  /// - Returns: nil if it is not complete.
  @inline(__always)
  func endOfLine(
    _ bytes: RawSpan, _ offset: Int, else reason: HTTPViolation.Reason
  ) throws(HTTPViolation) -> Int? {
    guard offset < bytes.byteCount else { return nil }
    guard byte(bytes, offset) == Syntax.carriageReturn else {
      return try refuse(bytes, offset, reason)
    }
    guard offset + 1 < bytes.byteCount else { return nil }
    guard byte(bytes, offset + 1) == Syntax.lineFeed else {
      throw HTTPViolation(.bareCarriageReturn)
    }
    return offset + 2
  }

  /// Says what is wrong with a byte that must not be there: a broken end of line, or else `reason`.
  ///
  /// - Returns: nil after a carriage return, until the byte behind it has come and tells.
  func refuse(
    _ bytes: RawSpan, _ offset: Int, _ reason: HTTPViolation.Reason
  ) throws(HTTPViolation) -> Int? {
    switch byte(bytes, offset) {
    case Syntax.lineFeed: throw HTTPViolation(.bareLineFeed)
    case Syntax.carriageReturn:
      guard offset + 1 < bytes.byteCount else { return nil }
      let isWhole = byte(bytes, offset + 1) == Syntax.lineFeed
      throw HTTPViolation(isWhole ? reason : .bareCarriageReturn)
    default: throw HTTPViolation(reason)
    }
  }

  // MARK: Fields

  /// Returns where what follows the empty line begins; nil if that has not come.
  private func fieldSection(_ bytes: RawSpan, from start: Int) throws(HTTPViolation) -> Int? {
    count = 0
    end = .max
    facts = HTTPFieldFacts()
    var offset = start
    while offset < bytes.byteCount {
      if byte(bytes, offset) == Syntax.carriageReturn {
        return try endOfLine(bytes, offset, else: .emptyFieldName)
      }
      guard count < limits.fields else { throw HTTPViolation(.tooManyFields) }
      guard let next = try field(bytes, from: offset) else { return nil }
      offset = next
    }
    return nil
  }

  /// Reads one line of the section, and returns where the next begins; nil if it is not complete.
  @inline(__always)
  private func field(_ bytes: RawSpan, from start: Int) throws(HTTPViolation) -> Int? {
    let end = bytes.byteCount
    var offset = Syntax.endOfToken(bytes, from: start)
    guard offset < end else { return nil }
    guard byte(bytes, offset) == UInt8(ascii: ":"), offset > start else {
      return try refuse(bytes, offset, badName(bytes, start, offset))
    }
    let nameEnd = offset
    offset += 1
    while offset < end, Self.isBlank(byte(bytes, offset)) { offset &+= 1 }
    let value = offset
    offset = Syntax.endOfFieldValue(bytes, from: value)
    guard offset < end else { return nil }
    guard let next = try endOfLine(bytes, offset, else: .malformedFieldValue) else { return nil }
    var valueEnd = offset
    while valueEnd > value, Self.isBlank(byte(bytes, valueEnd - 1)) { valueEnd &-= 1 }
    let name = HTTPFieldName(bytes, start, nameEnd &- start)
    fields[count] = HTTPField(
      nameStart: UInt32(truncatingIfNeeded: start),
      nameCount: UInt32(truncatingIfNeeded: nameEnd &- start),
      valueStart: UInt32(truncatingIfNeeded: value),
      valueCount: UInt32(truncatingIfNeeded: valueEnd &- value), name: name)
    count &+= 1
    if name != .other { try facts.note(name, bytes, value..<valueEnd, index: count &- 1) }
    return next
  }

  @inline(__always)
  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == Syntax.space || byte == Syntax.tab
  }

  private func badName(_ bytes: RawSpan, _ start: Int, _ offset: Int) -> HTTPViolation.Reason {
    guard offset == start else { return .malformedFieldName }
    if Self.isBlank(byte(bytes, offset)) { return .foldedLine }
    return byte(bytes, offset) == UInt8(ascii: ":") ? .emptyFieldName : .malformedFieldName
  }
}

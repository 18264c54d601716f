/// What the fields of one head say about its message's length and connection.
struct HTTPFieldFacts {
  var contentLength: UInt64?
  var isChunked = false
  /// The index of the field.
  var host: Int?
  var saysClose = false
  var saysKeepAlive = false
  var saysUpgrade = false
  var expectsContinue = false
  var hasUpgrade = false
  private var hasEncoding = false
  /// Options of Connection beside the three above.
  private var nominations = 0
  private var hasForeignExpectation = false

  // MARK: Field by field

  mutating func note(
    _ name: HTTPFieldName, _ bytes: RawSpan, _ value: Range<Int>, index: Int
  ) throws(HTTPViolation) {
    switch name {
    case .contentLength:
      guard contentLength == nil else { throw HTTPViolation(.repeatedContentLength) }
      contentLength = try Self.length(bytes, value)
    case .transferEncoding:
      guard !hasEncoding else { throw HTTPViolation(.repeatedTransferEncoding) }
      hasEncoding = true
      try noteEncoding(bytes, value)
    case .host:
      guard host == nil else { throw HTTPViolation(.repeatedHost) }
      host = index
    case .connection: noteConnection(bytes, value)
    case .upgrade: hasUpgrade = true
    case .expect:
      if value.count == 12 && Syntax.matches(bytes, value.lowerBound, "100-continue") {
        expectsContinue = true
      } else {
        hasForeignExpectation = true
      }
    default: break
    }
  }

  /// More digits than this may not fit.
  private static var mostDigits: Int { 18 }

  private static func length(_ bytes: RawSpan, _ value: Range<Int>) throws(HTTPViolation) -> UInt64
  {
    var length: UInt64 = 0
    for offset in value {
      let byte = byte(bytes, offset)
      if byte == UInt8(ascii: ",") { throw HTTPViolation(.repeatedContentLength) }
      guard Syntax.isDigit(byte) else { throw HTTPViolation(.malformedContentLength) }
      length = length &* 10 &+ UInt64(byte &- 0x30)
    }
    guard 1...mostDigits ~= value.count else { throw HTTPViolation(.malformedContentLength) }
    return length
  }

  private mutating func noteEncoding(
    _ bytes: RawSpan, _ value: Range<Int>
  ) throws(HTTPViolation) {
    for offset in value where byte(bytes, offset) == UInt8(ascii: ",") {
      throw HTTPViolation(.repeatedTransferEncoding)
    }
    guard value.count == 7, Syntax.matches(bytes, value.lowerBound, "chunked") else {
      throw HTTPViolation(.unsupportedTransferEncoding)
    }
    isChunked = true
  }

  private mutating func noteConnection(_ bytes: RawSpan, _ value: Range<Int>) {
    Self.forEachOption(bytes, value) { start, count in
      if count == 5 && Syntax.matches(bytes, start, "close") {
        saysClose = true
      } else if count == 10 && Syntax.matches(bytes, start, "keep-alive") {
        saysKeepAlive = true
      } else if count == 7 && Syntax.matches(bytes, start, "upgrade") {
        saysUpgrade = true
      } else {
        nominations += 1
      }
    }
  }

  /// Calls the body with start and length of every element of a list (RFC 9110, section 5.6.1).
  private static func forEachOption(
    _ bytes: RawSpan, _ value: Range<Int>, _ body: (Int, Int) -> Void
  ) {
    var offset = value.lowerBound
    while offset < value.upperBound {
      var end = offset
      while end < value.upperBound, byte(bytes, end) != UInt8(ascii: ",") { end += 1 }
      var (start, stop) = (offset, end)
      func isBlank(_ at: Int) -> Bool {
        byte(bytes, at) == Syntax.space || byte(bytes, at) == Syntax.tab
      }
      while start < stop, isBlank(start) { start += 1 }
      while stop > start, isBlank(stop - 1) { stop -= 1 }
      if start < stop { body(start, stop - start) }
      offset = end + 1
    }
  }

  // MARK: All together

  /// Checks what only the whole head tells, for requests and responses.
  func settle(_ head: HTTPHeadReader, _ bytes: RawSpan) throws(HTTPViolation) {
    if hasEncoding {
      guard contentLength == nil else { throw HTTPViolation(.lengthAndEncoding) }
      guard head.minorVersion > 0 else { throw HTTPViolation(.encodingInHTTP10) }
    }
    guard nominations > 0 else { return }
    // Each is looked for among all fields.
    guard nominations <= head.limits.fields else { throw HTTPViolation(.tooManyFields) }
    try markNominated(head, bytes)
  }

  func settleRequest(_ head: HTTPHeadReader, _ bytes: RawSpan) throws(HTTPViolation) {
    try settle(head, bytes)
    if hasForeignExpectation { throw HTTPViolation(.unsupportedExpectation) }
    try RequestTarget.check(head, bytes)
  }

  func settleResponse(_ head: HTTPHeadReader, _ bytes: RawSpan) throws(HTTPViolation) {
    try settle(head, bytes)
    // An answer to HEAD and 304 may say what the answer to GET would have (RFC 9112, section 6.1).
    guard !hasEncoding || !(head.status.isInterim || head.status == .noContent) else {
      throw HTTPViolation(.encodingNotAllowed)
    }
  }

  /// Marks the fields that Connection names.
  private func markNominated(_ head: HTTPHeadReader, _ bytes: RawSpan) throws(HTTPViolation) {
    var isEssential = false
    for index in 0..<head.count where head.fields[index].name == .connection {
      let value = head.fields[index].value
      Self.forEachOption(bytes, value) { start, count in
        for other in 0..<head.count {
          let field = head.fields[other]
          guard field.nameCount == count, Self.isSameWord(bytes, Int(field.nameStart), start, count)
          else { continue }
          head.fields[other].isNominated = true
          if field.name.isEssential { isEssential = true }
        }
      }
    }
    if isEssential { throw HTTPViolation(.connectionNamesEssential) }
  }

  private static func isSameWord(_ bytes: RawSpan, _ one: Int, _ other: Int, _ count: Int) -> Bool {
    for index in 0..<count
    where Syntax.lowercased(byte(bytes, one + index))
      != Syntax.lowercased(byte(bytes, other + index))
    {
      return false
    }
    return true
  }
}

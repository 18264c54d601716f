/// Finds a body's bytes and its end in what arrives. One for each message, a few words long.
///
/// Chunks are taken apart here: what it hands out is data only. Extensions are checked and dropped.
public struct HTTPBodyReader: Sendable {
  /// What comes next in the bytes.
  public enum Piece: Sendable, Equatable {
    /// These bytes of the body. More may follow.
    case data(Range<Int>)
    /// The message is complete; what begins here belongs to the next one. There may be trailers.
    case end(Int)
    /// Everything has been read; the message goes on.
    case incomplete
  }

  private enum State: Sendable {
    case length(UInt64)
    case untilClose
    /// Digits of a chunk's size; how many so far.
    case size(UInt64, digits: UInt8)
    case extensions(UInt64, ChunkExtensions)
    /// A carriage return ended the size line.
    case sizeEnd(UInt64)
    case chunk(UInt64)
    /// The CRLF behind a chunk's data.
    case dataReturn, dataEnd
    case trailers
    case complete
  }

  private var state: State
  /// Bytes of extensions in this body so far.
  private var extensionBytes = 0
  /// Trailer lines as far as they have come; nil if there are none.
  private var trailerBytes: [UInt8]?

  /// - Parameter framing: of the message.
  public init(_ framing: HTTPFraming) {
    state =
      switch framing {
      case .length(0): .complete
      case .length(let count): .length(count)
      case .chunked: .size(0, digits: 0)
      case .untilClose: .untilClose
      }
  }

  /// Whether the end has been read.
  public var isComplete: Bool {
    if case .complete = state { true } else { false }
  }

  /// Whether the connection's end is the message's: then it is complete and whole.
  public var endsWithConnection: Bool {
    if case .untilClose = state { true } else { false }
  }

  /// The trailer section with its empty line, to be read by `HTTPHeadReader.readTrailers`; nil if
  /// there is none.
  public var trailerSection: [UInt8]? { isComplete ? trailerBytes : nil }

  private static var mostExtensionBytes: Int { 4096 }
  /// Sixteen hexadecimal digits could overflow a signed number.
  private static var mostDigits: UInt8 { 15 }

  /// Reads on.
  ///
  /// - Parameters:
  ///   - bytes: what has arrived.
  ///   - offset: where to go on, up to the end: after a `data`, its upper bound.
  ///   - reader: checks the trailer fields, if there are any.
  /// - Throws: `HTTPViolation` if a chunk or a trailer is malformed.
  public mutating func next(
    _ bytes: RawSpan, from offset: Int, trailers reader: HTTPHeadReader
  ) throws(HTTPViolation) -> Piece {
    precondition(offset >= 0 && offset <= bytes.byteCount, "an offset outside the bytes")
    let available = bytes.byteCount - offset
    switch state {
    case .complete:
      return .end(offset)
    case .length(let left):
      guard available > 0 else { return .incomplete }
      let count = min(left, UInt64(available))
      state = count == left ? .complete : .length(left - count)
      return .data(offset..<offset + Int(count))
    case .untilClose:
      return available > 0 ? .data(offset..<bytes.byteCount) : .incomplete
    default:
      return try nextOfChunks(bytes, from: offset, reader)
    }
  }

  private mutating func nextOfChunks(
    _ bytes: RawSpan, from start: Int, _ reader: HTTPHeadReader
  ) throws(HTTPViolation) -> Piece {
    var offset = start
    while offset < bytes.byteCount {
      switch state {
      case .chunk(let left):
        let count = min(left, UInt64(bytes.byteCount - offset))
        state = count == left ? .dataReturn : .chunk(left - count)
        return .data(offset..<offset + Int(count))
      case .trailers:
        guard let end = try takeTrailers(bytes, from: offset, reader) else { return .incomplete }
        state = .complete
        return .end(end)
      default:
        try step(byte(bytes, offset))
        offset += 1
      }
    }
    return .incomplete
  }

  /// One byte of what stands between the data.
  private mutating func step(_ byte: UInt8) throws(HTTPViolation) {
    switch (state, byte) {
    case (.size(let size, let digits), _):
      try stepSize(byte, size, digits)
    case (.extensions(let size, let extensions), Syntax.carriageReturn) where extensions.mayEnd:
      state = .sizeEnd(size)
    case (.extensions, Syntax.lineFeed):
      throw HTTPViolation(.bareLineFeed)
    case (.extensions(let size, let extensions), _):
      extensionBytes += 1
      guard extensionBytes <= Self.mostExtensionBytes else {
        throw HTTPViolation(.chunkExtensionTooLong)
      }
      guard let next = extensions.after(byte) else {
        throw HTTPViolation(.malformedChunkExtension)
      }
      state = .extensions(size, next)
    case (.sizeEnd(let size), Syntax.lineFeed):
      state = size == 0 ? .trailers : .chunk(size)
    case (.dataReturn, Syntax.carriageReturn):
      state = .dataEnd
    case (.dataEnd, Syntax.lineFeed):
      state = .size(0, digits: 0)
    case (.sizeEnd, _):
      throw HTTPViolation(.bareCarriageReturn)
    case (.dataReturn, _), (.dataEnd, _):
      throw HTTPViolation(.missingChunkEnd)
    case (.length, _), (.untilClose, _), (.chunk, _), (.trailers, _), (.complete, _):
      preconditionFailure("a byte of data is not looked at")
    }
  }

  private mutating func stepSize(
    _ byte: UInt8, _ size: UInt64, _ digits: UInt8
  ) throws(HTTPViolation) {
    if let digit = Syntax.hexDigit(byte) {
      guard digits < Self.mostDigits else { throw HTTPViolation(.malformedChunkSize) }
      state = .size(size << 4 | digit, digits: digits + 1)
      return
    }
    switch byte {
    case UInt8(ascii: ";") where digits > 0: state = .extensions(size, .start)
    case Syntax.carriageReturn where digits > 0: state = .sizeEnd(size)
    case Syntax.lineFeed where digits > 0: throw HTTPViolation(.bareLineFeed)
    default: throw HTTPViolation(.malformedChunkSize)
    }
  }

  /// Returns where what follows the section begins; nil if it is not complete.
  private mutating func takeTrailers(
    _ bytes: RawSpan, from start: Int, _ reader: HTTPHeadReader
  ) throws(HTTPViolation) -> Int? {
    // Nearly always there are none, and the section is an empty line.
    if trailerBytes == nil, bytes.byteCount - start >= 2,
      byte(bytes, start) == Syntax.carriageReturn, byte(bytes, start + 1) == Syntax.lineFeed
    {
      return start + 2
    }
    var section = trailerBytes ?? []
    let before = section.count
    // The section may end within these bytes, and what follows must stay theirs. One byte beyond
    // the limit is enough to be refused.
    // The limit may have become smaller since the last piece.
    let taken = min(bytes.byteCount - start, max(0, reader.limits.headBytes + 1 - before))
    bytes.extracting(start..<start + taken).withUnsafeBytes { section.append(contentsOf: $0) }
    guard let end = try reader.readTrailers(section.span.bytes) else {
      trailerBytes = section
      return nil
    }
    section.removeLast(section.count - end)
    trailerBytes = end > 2 ? section : nil
    return start + end - before
  }
}

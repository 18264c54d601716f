import FDNet

/// Version 1, a line of text:
///
///     PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n
///     PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n
///     PROXY UNKNOWN\r\n
///
/// One space between two words, at most 107 bytes with the end of the line. What follows `UNKNOWN`
/// on its line means nothing, but has to be text.
enum ProxyHeaderV1 {
  static let signature: StaticString = "PROXY "
  private static let maximumByteCount = 107

  static func read(_ bytes: RawSpan) -> ProxyHeader.Verdict {
    guard bytes.agrees(with: signature) else {
      return .violation("the connection does not begin with a PROXY header")
    }
    for index in 0..<min(bytes.byteCount, maximumByteCount) {
      switch bytes[index] {
      case 0x20...0x7E:
        continue
      case UInt8(ascii: "\r") where index + 1 == maximumByteCount:
        return tooLong
      case UInt8(ascii: "\r") where index + 1 == bytes.byteCount:
        return .incomplete
      case UInt8(ascii: "\r") where bytes[index + 1] == UInt8(ascii: "\n"):
        return read(bytes.extracting(first: index), byteCount: index + 2)
      default:
        return .violation("a PROXY header has a byte that is no printable ASCII character")
      }
    }
    return bytes.byteCount < maximumByteCount ? .incomplete : tooLong
  }

  private static var tooLong: ProxyHeader.Verdict {
    .violation("a PROXY header of version 1 has no line end within \(maximumByteCount) bytes")
  }

  /// Reads the whole line, without its end.
  private static func read(_ line: RawSpan, byteCount: Int) -> ProxyHeader.Verdict {
    // Shorter than the signature, which has a space at its end.
    guard line.byteCount > signature.utf8CodeUnitCount else { return missing("a kind of network") }
    return line.withUnsafeBytes { line in
      var words = Words(rest: line[signature.utf8CodeUnitCount...])
      guard let kind = words.next() else { return missing("a kind of network") }
      let width: Int
      if kind.elementsEqual("UNKNOWN".utf8) {
        return .header(byteCount: byteCount, source: nil)
      } else if kind.elementsEqual("TCP4".utf8) {
        width = 4
      } else if kind.elementsEqual("TCP6".utf8) {
        width = 6
      } else {
        return .violation("a PROXY header has a kind of network other than TCP4, TCP6 or UNKNOWN")
      }
      guard let source = words.next().flatMap({ address($0, width) }),
        words.next().flatMap({ address($0, width) }) != nil
      else { return missing("two addresses of IPv\(width)") }
      guard let port = words.next().flatMap(port), words.next().flatMap(Self.port) != nil else {
        return missing("two ports")
      }
      guard words.isAtEnd else { return .violation("a PROXY header goes on after its ports") }
      return .header(byteCount: byteCount, source: SocketAddress(source, port: port))
    }
  }

  private static func missing(_ what: String) -> ProxyHeader.Verdict {
    .violation("a PROXY header has not \(what) where they belong")
  }

  /// What one space separates from the next.
  private struct Words {
    private(set) var rest: Slice<UnsafeRawBufferPointer>
    private(set) var isAtEnd = false

    init(rest: Slice<UnsafeRawBufferPointer>) { self.rest = rest }

    /// The next one, which may be empty: where two spaces follow each other.
    mutating func next() -> Slice<UnsafeRawBufferPointer>? {
      guard !isAtEnd else { return nil }
      guard let space = rest.firstIndex(of: UInt8(ascii: " ")) else {
        isAtEnd = true
        return rest
      }
      defer { rest = rest[(space + 1)...] }
      return rest[..<space]
    }
  }

  private static func address(_ word: Slice<UnsafeRawBufferPointer>, _ version: Int) -> IPAddress? {
    guard word.contains(UInt8(ascii: ":")) == (version == 6) else { return nil }
    return IPAddress(parsing: word)
  }

  /// Digits without a zero in front, up to 65535.
  private static func port(_ word: Slice<UnsafeRawBufferPointer>) -> UInt16? {
    guard (1...5).contains(word.count), word.first != UInt8(ascii: "0") || word.count == 1 else {
      return nil
    }
    var port: UInt32 = 0
    for byte in word {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      port = port * 10 + UInt32(byte - UInt8(ascii: "0"))
    }
    return UInt16(exactly: port)
  }
}

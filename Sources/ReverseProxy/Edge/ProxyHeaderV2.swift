import FDNet

/// Version 2, in binary:
///
/// | bytes | meaning                                                                      |
/// |-------|------------------------------------------------------------------------------|
/// | 12    | the signature                                                                |
/// | 1     | 2 in the upper half, the version; below it the command: 0 LOCAL, 1 PROXY     |
/// | 1     | the kind of network: 0x11 TCP4, 0x21 TCP6, 0x31 Unix stream, 0 unspecified   |
/// | 2     | how many bytes follow                                                        |
/// | n     | source and destination: 12 bytes, 36, 216, or none                           |
/// | ...   | fields of a type (1 byte), a length (2 bytes) and so many bytes; not read    |
enum ProxyHeaderV2 {
  static let signature: StaticString = "\r\n\r\n\0\r\nQUIT\n"
  private static let fixedByteCount = 16

  static func read(_ bytes: RawSpan) -> ProxyHeader.Verdict {
    guard bytes.agrees(with: signature) else {
      return .violation("the connection does not begin with a PROXY header")
    }
    let count = signature.utf8CodeUnitCount
    guard bytes.byteCount > count else { return .incomplete }
    guard bytes[count] >> 4 == 2 else {
      return .violation("a PROXY header is of version \(bytes[count] >> 4); 1 and 2 are known")
    }
    guard bytes[count] & 0xF <= 1 else {
      return .violation("a PROXY header has the command \(bytes[count] & 0xF); 0 and 1 are known")
    }
    guard bytes.byteCount >= fixedByteCount else { return .incomplete }
    let total = fixedByteCount + Int(bytes.bigEndian(UInt16.self, at: count + 2))
    guard total <= ProxyHeader.maximumByteCount else {
      return .violation(
        "a PROXY header has \(total) bytes, and \(ProxyHeader.maximumByteCount) are the most here")
    }
    // A balancer's own connection, a health check: the rest means nothing.
    let isLocal = bytes[count] & 0xF == 0
    let kind = isLocal ? .unspecified : Kind(rawValue: bytes[count + 1])
    guard let kind else {
      return .violation(
        "a PROXY header has the kind of network 0x\(String(bytes[count + 1], radix: 16)); "
          + "0x11, 0x21, 0x31 and 0x0 are known")
    }
    guard total >= fixedByteCount + kind.byteCount else {
      return .violation("a PROXY header is too short for the addresses of its kind of network")
    }
    guard bytes.byteCount >= total else { return .incomplete }
    if kind != .unspecified
      && !hasWholeFields(bytes, from: fixedByteCount + kind.byteCount, to: total)
    {
      return .violation("a PROXY header ends within a field")
    }
    return .header(byteCount: total, source: source(kind, bytes))
  }

  private enum Kind: UInt8 {
    case unspecified = 0
    case tcp4 = 0x11
    case tcp6 = 0x21
    case unixStream = 0x31

    /// Of both addresses with their ports.
    var byteCount: Int {
      switch self {
      case .unspecified: 0
      case .tcp4: 12
      case .tcp6: 36
      case .unixStream: 216
      }
    }
  }

  private static func hasWholeFields(_ bytes: RawSpan, from start: Int, to end: Int) -> Bool {
    var next = start
    while next + 3 <= end { next += 3 + Int(bytes.bigEndian(UInt16.self, at: next + 1)) }
    return next == end
  }

  private static func source(_ kind: Kind, _ bytes: RawSpan) -> SocketAddress? {
    let start = fixedByteCount
    switch kind {
    case .unspecified:
      return nil
    case .tcp4:
      return SocketAddress(
        IPAddress(ipv4: bytes.bigEndian(UInt32.self, at: start)),
        port: bytes.bigEndian(UInt16.self, at: start + 8))
    case .tcp6:
      return SocketAddress(
        IPAddress(
          high: bytes.bigEndian(UInt64.self, at: start),
          low: bytes.bigEndian(UInt64.self, at: start + 8)),
        port: bytes.bigEndian(UInt16.self, at: start + 32))
    case .unixStream:
      var name = (start..<start + 108).map { bytes[$0] }
      if name[0] != 0 {
        name = Array(name.prefix { $0 != 0 })
      } else {
        // An abstract name is filled up to the end; all zeros is a socket without a name.
        while name.last == 0 { name.removeLast() }
      }
      return SocketAddress(unixName: name)
    }
  }
}

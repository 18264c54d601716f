import FDPoller

/// All messages have this size and carry whose they are, so that a byte that reaches another
/// connection or another request shows.
struct ChainMessage {
  enum Kind: UInt64 {
    case request = 0x7265_7175_6573_7400
    case answer = 0x616E_7377_6572_0000
    /// What was asked for cannot be had: the cause is counted where it arose.
    case failure = 0x6661_696C_7572_6500
    /// Nobody has asked for it: it may arrive while its connection is idle.
    case notice = 0x6E6F_7469_6365_0000
  }

  static let size = 48

  var kind: Kind
  /// How often it is still to be passed on.
  var hops: UInt64 = 0
  /// The number of the request, the same on all its hops.
  var request: UInt64 = 0
  /// The number of the attempt to send it on this hop.
  var attempt: UInt64 = 0
  /// The handle of the client's end of the connection.
  var link: UInt64
  /// What the last hop makes of the request.
  var content: UInt64 = 0

  /// What the last hop answers to a content.
  static func answer(to content: UInt64) -> UInt64 { ~content &* 0x9E37_79B9_7F4A_7C15 }

  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    withUnsafeBytes(of: (kind.rawValue, hops, request, attempt, link, content), body)
  }
}

extension ChainMessage: CustomStringConvertible {
  var description: String {
    "\(kind) of request \(request), attempt \(attempt), of \(FDHandle(rawValue: link))"
  }
}

/// Puts messages together again that arrive in pieces.
struct ChainReader {
  private var words: [6 of UInt64] = .init(repeating: 0)
  private var count = 0

  /// Whether a part of a message has come.
  var isAmid: Bool { count > 0 }

  /// - Parameters:
  ///   - bytes: from here on the rest is looked for.
  ///   - start: the first byte not yet looked at; moves on.
  /// - Returns: the next message; nil if the bytes do not complete one, or what begins there is none.
  mutating func next(in bytes: RawSpan, from start: inout Int) -> Result? {
    let part = min(ChainMessage.size - count, bytes.byteCount - start)
    guard part > 0 else { return nil }
    let begin = count
    let source = bytes.extracting(start..<start + part)
    withUnsafeMutableBytes(of: &words) { target in
      source.withUnsafeBytes {
        target.baseAddress.unsafelyUnwrapped.advanced(by: begin).copyMemory(
          from: $0.baseAddress.unsafelyUnwrapped, byteCount: part)
      }
    }
    start += part
    count += part
    guard count == ChainMessage.size else { return nil }
    count = 0
    guard let kind = ChainMessage.Kind(rawValue: words[0]) else { return .garbage(words[0]) }
    return .message(
      ChainMessage(
        kind: kind, hops: words[1], request: words[2], attempt: words[3], link: words[4],
        content: words[5]))
  }

  enum Result {
    case message(ChainMessage)
    case garbage(UInt64)
  }
}

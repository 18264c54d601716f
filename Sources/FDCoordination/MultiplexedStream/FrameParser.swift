/// Makes frames of bytes that arrive in whatever pieces the network likes.
///
/// It holds at most one frame, that is 64 KiB, and copies each byte once. After an error it is used
/// no more.
struct FrameParser {
  private var header = Header()
  /// Of the frame whose header is complete.
  private var payload: [UInt8] = []
  private var isHeaderRead = false
  private var isFirst = true

  /// The eight bytes before each payload, as far as they are there.
  private struct Header {
    var bits: UInt64 = 0
    var count = 0

    var kind: UInt8 { UInt8(truncatingIfNeeded: bits >> 56) }
    var flags: UInt8 { UInt8(truncatingIfNeeded: bits >> 48) }
    var length: Int { Int(UInt16(truncatingIfNeeded: bits >> 32)) }
    var stream: UInt32 { UInt32(truncatingIfNeeded: bits) }
  }

  /// Appends the frames that are complete with these bytes.
  mutating func parse(_ bytes: RawSpan, into frames: inout [Frame]) throws(FrameError) {
    var rest = bytes.extracting(0..<bytes.byteCount)
    while true {
      if !isHeaderRead {
        guard takeHeader(from: &rest) else { return }
        isHeaderRead = true
        try check()
        payload = []
        payload.reserveCapacity(header.length)
      }
      let count = min(header.length - payload.count, rest.byteCount)
      rest.extracting(first: count).withUnsafeBytes { payload.append(contentsOf: $0) }
      rest = rest.extracting(droppingFirst: count)
      guard payload.count == header.length else { return }
      frames.append(try frame())
      (header, payload, isHeaderRead, isFirst) = (Header(), [], false, false)
    }
  }

  private mutating func takeHeader(from rest: inout RawSpan) -> Bool {
    if header.count == 0, rest.byteCount >= Frame.headerCount {
      header.bits = UInt64(bigEndian: rest.unsafeLoadUnaligned(as: UInt64.self))
      header.count = Frame.headerCount
      rest = rest.extracting(droppingFirst: Frame.headerCount)
      return true
    }
    while header.count < Frame.headerCount {
      guard rest.byteCount > 0 else { return false }
      header.bits = header.bits << 8 | UInt64(rest.unsafeLoadUnaligned(as: UInt8.self))
      header.count += 1
      rest = rest.extracting(droppingFirst: 1)
    }
    return true
  }

  /// Refuses a frame by its header, before any of its payload is kept.
  private func check() throws(FrameError) {
    guard let kind = Frame.Kind(rawValue: header.kind) else {
      throw isFirst ? .notThisProtocol : .unknownType(header.kind)
    }
    guard !isFirst || (kind == .hello && header.length == 12) else { throw .notThisProtocol }
    let allowed =
      switch kind {
      case .hello: 12...12
      case .open: 0...Frame.mostOpening
      case .data: 0...Frame.mostPayload
      case .finish, .stop, .goodbye: 0...0
      case .reset, .credit: 4...4
      case .ping, .pong: 8...8
      }
    guard allowed ~= header.length else {
      throw .wrongLength(type: header.kind, length: header.length)
    }
    guard header.flags == 0 || (kind == .data && header.flags == 1) else {
      throw .unknownFlags(header.flags)
    }
    switch kind {
    case .hello, .ping, .pong, .goodbye:
      guard header.stream == 0 else { throw .wrongStream(header.stream) }
    case .open, .data, .finish, .stop, .reset, .credit:
      guard header.stream != 0 else { throw .wrongStream(0) }
    }
  }

  private func word(at offset: Int) -> UInt32 {
    payload[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }

  private var number: UInt64 { UInt64(word(at: 0)) << 32 | UInt64(word(at: 4)) }

  private func frame() throws(FrameError) -> Frame {
    let stream = header.stream
    switch Frame.Kind(rawValue: header.kind).unsafelyUnwrapped {
    case .hello:
      guard word(at: 0) == Frame.magic else { throw .notThisProtocol }
      return .hello(window: word(at: 4), streams: word(at: 8))
    case .open: return .open(stream: stream, opening: payload)
    case .data:
      return .data(
        stream: stream, bytes: payload, range: payload.indices, endsMessage: header.flags == 1)
    case .finish: return .finish(stream: stream)
    case .stop: return .stop(stream: stream)
    case .reset: return .reset(stream: stream, code: word(at: 0))
    case .credit: return .credit(stream: stream, amount: word(at: 0))
    case .ping: return .ping(number)
    case .pong: return .pong(number)
    case .goodbye: return .goodbye
    }
  }
}

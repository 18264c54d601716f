/// What two peers say to each other, one after the other on one connection.
///
///     | type 8 | flags 8 | payload's length 16 | stream 32 | payload ... |
///
/// Numbers are big-endian. A frame is at most 64 KiB, header included, so that whatever is urgent
/// never waits for more than that of another stream.
enum Frame: Equatable {
  /// The first frame of each side: how much of a stream it takes before it gives more credit, and
  /// how many streams the other side may have open.
  case hello(window: UInt32, streams: UInt32)
  /// A new stream, and what it is for.
  case open(stream: UInt32, opening: [UInt8])
  /// A part of a message: those bytes of an array, which is not copied for that.
  case data(stream: UInt32, bytes: [UInt8], range: Range<Int>, endsMessage: Bool)
  /// The sender says no more on that stream.
  case finish(stream: UInt32)
  /// The sender listens no more on that stream.
  case stop(stream: UInt32)
  /// The stream is over in both directions, at once.
  case reset(stream: UInt32, code: UInt32)
  /// So much more may be sent on that stream.
  case credit(stream: UInt32, amount: UInt32)
  case ping(UInt64)
  case pong(UInt64)
  /// The sender closes the connection on purpose.
  case goodbye

  static var headerCount: Int { 8 }
  static var mostPayload: Int { (64 << 10) - headerCount }
  /// Of the bytes that say what a new stream is for.
  static var mostOpening: Int { 4 << 10 }
  /// A frame of data costs so much credit beyond its bytes, so that memory is bounded whatever
  /// their size.
  static var overhead: Int { 64 }
  /// The first bytes of a hello: who speaks something else shows at once.
  static var magic: UInt32 { 0x4644_4D31 }

  enum Kind: UInt8 {
    case hello = 1
    case open, data, finish, stop, reset, credit, ping, pong, goodbye
  }
}

/// Why bytes are no frames, or frames not what may come now.
public enum FrameError: Error, Hashable, Sendable {
  /// The peer's first bytes are not those of this protocol.
  case notThisProtocol
  /// A type of frame that does not exist.
  case unknownType(UInt8)
  /// A frame whose payload has another length than its type asks for.
  case wrongLength(type: UInt8, length: Int)
  /// Flags that do not exist.
  case unknownFlags(UInt8)
  /// A frame of a stream that cannot be: of number 0, or with one that was never opened.
  case wrongStream(UInt32)
  /// More data on a stream than its credit allows.
  case creditExceeded(UInt32)
  /// More credit for a stream than can be counted.
  case tooMuchCredit(UInt32)
  /// Data after the end of the stream.
  case dataAfterEnd(UInt32)
  /// The end of a stream in the middle of a message.
  case unfinishedMessage(UInt32)
  /// A second hello.
  case outOfOrder
  /// More frames that want an answer than the peer takes answers.
  case flood
}

extension FrameError: CustomStringConvertible {
  /// One line: what was wrong.
  public var description: String {
    switch self {
    case .notThisProtocol: "the peer does not speak this protocol"
    case .unknownType(let type): "there is no frame of type \(type)"
    case .wrongLength(let type, let length): "a frame of type \(type) has no \(length) bytes"
    case .unknownFlags(let flags): "a frame has the flags \(flags), which do not exist"
    case .wrongStream(let stream): "stream \(stream) was never opened"
    case .creditExceeded(let stream): "stream \(stream) got more data than its credit allows"
    case .tooMuchCredit(let stream): "stream \(stream) got more credit than can be counted"
    case .dataAfterEnd(let stream): "stream \(stream) got data after its end"
    case .unfinishedMessage(let stream): "stream \(stream) ended in the middle of a message"
    case .outOfOrder: "a hello is the first frame and no other"
    case .flood: "the peer asks for answers and does not read them"
    }
  }
}

// MARK: - Writing

extension Frame {
  private var payloadCount: Int {
    switch self {
    case .hello: 12
    case .open(_, let opening): opening.count
    case .data(_, _, let range, _): range.count
    case .finish, .stop, .goodbye: 0
    case .reset, .credit: 4
    case .ping, .pong: 8
    }
  }

  var encodedCount: Int { Self.headerCount + payloadCount }

  /// Writes the frame to memory that has room for it.
  ///
  /// - Returns: `encodedCount`.
  func encode(into target: UnsafeMutableRawPointer) -> Int {
    let payload = target + Self.headerCount
    func header(_ kind: Kind, stream: UInt32 = 0, flags: UInt8 = 0) {
      target.storeBytes(of: kind.rawValue, as: UInt8.self)
      target.storeBytes(of: flags, toByteOffset: 1, as: UInt8.self)
      target.storeBytes(of: UInt16(payloadCount).bigEndian, toByteOffset: 2, as: UInt16.self)
      target.storeBytes(of: stream.bigEndian, toByteOffset: 4, as: UInt32.self)
    }
    func put(_ word: UInt32, at offset: Int = 0) {
      payload.storeBytes(of: word.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
    func put(_ bytes: [UInt8], _ range: Range<Int>) {
      bytes.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(start: payload, count: range.count)
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
      }
    }
    switch self {
    case .hello(let window, let streams):
      header(.hello)
      put(Self.magic)
      put(window, at: 4)
      put(streams, at: 8)
    case .open(let stream, let opening):
      header(.open, stream: stream)
      put(opening, opening.indices)
    case .data(let stream, let bytes, let range, let endsMessage):
      header(.data, stream: stream, flags: endsMessage ? 1 : 0)
      put(bytes, range)
    case .finish(let stream): header(.finish, stream: stream)
    case .stop(let stream): header(.stop, stream: stream)
    case .reset(let stream, let code):
      header(.reset, stream: stream)
      put(code)
    case .credit(let stream, let amount):
      header(.credit, stream: stream)
      put(amount)
    case .ping(let number):
      header(.ping)
      payload.storeBytes(of: number.bigEndian, as: UInt64.self)
    case .pong(let number):
      header(.pong)
      payload.storeBytes(of: number.bigEndian, as: UInt64.self)
    case .goodbye: header(.goodbye)
    }
    return encodedCount
  }
}

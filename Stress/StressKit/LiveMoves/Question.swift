/// What a client asks: with a number that nobody else has, a body of its own, and the wish for an
/// answer of some length.
struct Question {
  let client: UInt64
  /// From 0, one more for each question of the client's.
  let number: UInt64
  let length: Int
  let answerLength: Int
  /// Whether the answer comes in chunks, and its origin takes its time.
  let isChunked, isSlow: Bool

  var identity: UInt64 { client << 32 | number }
  /// Of the answer's body.
  var answerIdentity: UInt64 { ~identity }

  init(client: UInt64, number: UInt64, _ random: UInt64, _ more: UInt64) {
    self.client = client
    self.number = number
    length = Self.length(random)
    answerLength = Self.length(more)
    isChunked = random >> 56 % 3 == 0
    isSlow = more >> 56 % 8 == 0
  }

  /// Most are short, one of three is empty, and some do not fit into any buffer.
  private static func length(_ random: UInt64) -> Int {
    switch random % 96 {
    case 0: Int(random >> 8 % 70_001)
    case 1..<33: 0
    default: Int(random >> 8 % 300)
    }
  }

  // MARK: As a path

  var path: String {
    "/\(client)/\(number)/\(length)/\(answerLength)/\(isChunked ? 1 : 0)/\(isSlow ? 1 : 0)"
  }

  /// - Returns: nil if it is not the path of a question.
  init?(path: RawSpan) {
    let text = path.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    let numbers = text.split(separator: "/").compactMap { UInt64($0) }
    guard numbers.count == 6 else { return nil }
    (client, number) = (numbers[0], numbers[1])
    (length, answerLength) = (Int(numbers[2]), Int(numbers[3]))
    (isChunked, isSlow) = (numbers[4] == 1, numbers[5] == 1)
  }

  /// The bytes to send.
  ///
  /// - Parameter inChunks: of its body.
  func request(inChunks: Bool) -> (bytes: [UInt8], checksum: UInt64) {
    var body: [UInt8] = []
    var content = NumberedBody(identity, length: length)
    content.append(length, to: &body)
    var checksum = Checksum()
    checksum.add(body.span.bytes)
    let head = "\(length > 0 ? "POST" : "GET") \(path) HTTP/1.1\r\nHost: live\r\n"
    guard length > 0 else { return (Array("\(head)\r\n".utf8), checksum.value) }
    guard inChunks else {
      return (Array("\(head)Content-Length: \(length)\r\n\r\n".utf8) + body, checksum.value)
    }
    var bytes = Array("\(head)Transfer-Encoding: chunked\r\n\r\n".utf8)
    var rest = body[...]
    while !rest.isEmpty {
      let chunk = rest.prefix(4_000)
      rest = rest.dropFirst(chunk.count)
      bytes += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [13, 10]
    }
    bytes += Array("0\r\n\r\n".utf8)
    return (bytes, checksum.value)
  }
}

/// What stands before the bytes of an answer.
struct AnswerPreface: Equatable {
  static let size = 32

  var origin: UInt64
  let client: UInt64
  let number: UInt64
  /// Of the question's body as the origin has got it.
  let checksum: UInt64

  func append(to bytes: inout [UInt8]) {
    withUnsafeBytes(of: (origin, client, number, checksum)) { bytes.append(contentsOf: $0) }
  }

  init(origin: UInt64, client: UInt64, number: UInt64, checksum: UInt64) {
    self.origin = origin
    self.client = client
    self.number = number
    self.checksum = checksum
  }

  init(_ bytes: [UInt8]) {
    let words = bytes.withUnsafeBytes { bytes in
      (0..<4).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
    }
    self.init(origin: words[0], client: words[1], number: words[2], checksum: words[3])
  }
}

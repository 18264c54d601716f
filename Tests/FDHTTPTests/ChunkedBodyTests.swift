import FDHTTP
import HTTPProperties
import Testing

@Suite("A chunked body")
struct ChunkedBodyTests {
  @Test(
    "is its chunks' data, however sizes are written and whatever their extensions",
    arguments: [
      ("0\r\n\r\n", ""), ("000\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"),
      ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
      ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
      ("0000000000000A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
      ("1\r\na\r\n1\r\nb\r\n2\r\n\r\n\r\n0\r\n\r\n", "ab\r\n"), ("1;a\r\nx\r\n0;b=c\r\n\r\n", "x"),
      ("1; \ta\t = \"b;\\\"\\\\\u{e4} \" ; c = d\r\nx\r\n0\r\n\r\n", "x"),
      ("1;a=\"\"\r\nx\r\n0\r\n\r\n", "x"), ("7\r\n0\r\n\r\nab\r\n0\r\n\r\n", "0\r\n\r\nab"),
    ])
  func data(text: String, body: String) throws {
    let bytes = Array(text.utf8)
    let whole = chunks(text)
    let message = try #require(whole.only, "\(whole.outcome)")
    #expect(message.body == Array(body.utf8) && message.trailers.isEmpty)
    for one in 0...bytes.count {
      for two in one...bytes.count {
        #expect(Reading(bytes, as: .body(.chunked), cuts: [one, two]) == whole, "\(one), \(two)")
      }
      guard one < bytes.count else { continue }
      #expect(Reading(Array(bytes[..<one]), as: .body(.chunked)).only == nil, "\(one)")
    }
  }

  @Test("has trailer fields in order, and leaves what follows them to the next message")
  func trailers() throws {
    let text = request(
      "POST / HTTP/1.1", "Transfer-Encoding: chunked",
      body: "1\r\nx\r\n0\r\nA: b\r\nc:\t d \r\nA:\r\n\r\n")
    let bytes = Array((text + text).utf8)
    for cut in 0...bytes.count {
      let messages = Reading(bytes, as: .requests, cuts: [cut]).messages
      try #require(messages.count == 2 && messages[1].isComplete, "cut at \(cut)")
      #expect(messages[0] == messages[1])
      #expect(messages[0].trailers.map(\.name) == ["A", "c", "A"])
      #expect(messages[0].trailers.map(\.value) == ["b", "d", ""])
    }
  }

  @Test("has no trailer section if that is an empty line, and one before it is read is nil")
  func noTrailers() throws {
    var body = HTTPBodyReader(.chunked)
    let reader = HTTPHeadReader()
    let bytes = Array("0\r\nA: b\r\n".utf8)
    #expect(try body.next(bytes.span.bytes, from: 0, trailers: reader) == .incomplete)
    #expect(body.trailerSection == nil && !body.isComplete)
    let rest = Array("\r\nGET".utf8)
    #expect(try body.next(rest.span.bytes, from: 0, trailers: reader) == .end(2))
    #expect(body.trailerSection == Array("A: b\r\n\r\n".utf8) && body.isComplete)
    var empty = HTTPBodyReader(.chunked)
    #expect(
      try empty.next(Array("0\r\n\r\n".utf8).span.bytes, from: 0, trailers: reader) == .end(5))
    #expect(empty.trailerSection == nil && empty.isComplete)
  }

  @Test("is handed out in pieces without gaps, each as long as what has arrived allows")
  func pieces() throws {
    var body = HTTPBodyReader(.chunked)
    let bytes = Array("5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\nrest".utf8)
    let reader = HTTPHeadReader()
    let span = bytes.span.bytes
    #expect(try body.next(span, from: 0, trailers: reader) == .data(3..<8))
    #expect(try body.next(span, from: 8, trailers: reader) == .data(17..<20))
    #expect(try body.next(span, from: 20, trailers: reader) == .end(27))
    #expect(try body.next(span, from: 27, trailers: reader) == .end(27))
  }

  @Test("of one chunk of any size up to the largest counts every byte")
  func largeChunk() throws {
    var body = HTTPBodyReader(.chunked)
    let reader = HTTPHeadReader()
    let size = 3_000_017
    let head = Array((String(size, radix: 16) + "\r\n").utf8)
    #expect(try body.next(head.span.bytes, from: 0, trailers: reader) == .incomplete)
    let piece = [UInt8](repeating: 0x0d, count: 4096)
    var left = size
    while left > 0 {
      let count = min(left, piece.count)
      #expect(try body.next(piece.span.bytes, from: 0, trailers: reader) == .data(0..<count))
      left -= count
    }
    let end = Array("\r\n0\r\n\r\n".utf8)
    #expect(try body.next(end.span.bytes, from: 0, trailers: reader) == .end(7))
  }
}

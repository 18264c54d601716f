import FDHTTP
import HTTPProperties
import Testing

@Suite("The head of a request")
struct RequestHeadTests {
  struct Good: Sendable, CustomTestStringConvertible {
    var head: String
    var authority = "a"
    var pathAndQuery = "/"
    var keepsAlive = true
    var testDescription: String { head }
  }

  static let heads = [
    Good(head: request("GET / HTTP/1.1")),
    Good(head: request("GET /?a=/?b&c=%20 HTTP/1.1"), pathAndQuery: "/?a=/?b&c=%20"),
    Good(head: request("GET //b HTTP/1.1"), pathAndQuery: "//b"),
    Good(head: request("GET http://a/b?c HTTP/1.1"), pathAndQuery: "/b?c"),
    Good(head: request("GET HTTPS://A HTTP/1.1"), authority: "A", pathAndQuery: ""),
    Good(head: request("GET http://a?b HTTP/1.1"), pathAndQuery: "?b"),
    Good(head: request("GET http://b/ HTTP/1.0", host: nil), authority: "b", keepsAlive: false),
    Good(head: request("OPTIONS * HTTP/1.1"), pathAndQuery: "*"),
    Good(
      head: request("CONNECT b:443 HTTP/1.1", host: "b:443"), authority: "b:443",
      pathAndQuery: "b:443"),
    Good(
      head: request("CONNECT [::1]:1 HTTP/1.0", host: nil), authority: "[::1]:1",
      pathAndQuery: "[::1]:1", keepsAlive: false),
    Good(head: request("GET / HTTP/1.0"), keepsAlive: false),
    Good(head: request("GET / HTTP/1.0", host: nil), authority: "", keepsAlive: false),
    Good(head: request("GET / HTTP/1.0", "Connection: Keep-Alive")),
    Good(head: request("GET / HTTP/1.0", "Connection: keep-alive, close"), keepsAlive: false),
    Good(head: request("GET / HTTP/1.1", "Connection: x, ,\tCLOSE ,"), keepsAlive: false),
    Good(head: request("GET / HTTP/1.1", "Connection: closer, xclose, keep-alive")),
    Good(head: "\r\n" + request("GET / HTTP/1.1")),
    Good(head: "GET / HTTP/1.1\r\nhOST:a\r\n\r\n"),
    Good(head: "GET / HTTP/1.1\r\nHost: \t a\t \r\n\r\n"),
    Good(head: request("GET / HTTP/1.1", host: ""), authority: ""),
    Good(head: request("GET / HTTP/1.1", host: "a:80"), authority: "a:80"),
    Good(head: request("GET / HTTP/1.1", host: "a:"), authority: "a:"),
    Good(head: request("GET / HTTP/1.1", host: "[2001:db8::1]"), authority: "[2001:db8::1]"),
    Good(
      head: request("GET / HTTP/1.1", host: "[::ffff:1.2.3.4]:8"), authority: "[::ffff:1.2.3.4]:8"),
    Good(head: request("GET / HTTP/1.1", host: "1.2.3.4:8"), authority: "1.2.3.4:8"),
    Good(
      head: request("GET / HTTP/1.1", host: "x-y.z_1~%41!$&'()*+,;="),
      authority: "x-y.z_1~%41!$&'()*+,;="),
  ]

  @Test("is read with its target, authority and persistence", arguments: heads)
  func read(_ good: Good) throws {
    let reading = requests(good.head)
    let message = try #require(reading.only, "\(reading.outcome)")
    #expect(message.headCount == good.head.utf8.count)
    #expect(message.authority == Text(stringLiteral: good.authority))
    #expect(message.pathAndQuery == Text(stringLiteral: good.pathAndQuery))
    #expect(message.keepsAlive == good.keepsAlive)
  }

  @Test("is incomplete until its last byte, and is the same wherever it is cut", arguments: heads)
  func split(_ good: Good) {
    let bytes = Array(good.head.utf8)
    let whole = Reading(bytes, as: .requests)
    for cut in 0..<bytes.count {
      let part = Reading(Array(bytes[..<cut]), as: .requests)
      #expect(part.messages.isEmpty && part.outcome == .wantsMore, "after \(cut) bytes")
      #expect(Reading(bytes, as: .requests, cuts: [cut]) == whole, "cut at \(cut)")
    }
    #expect(Reading(bytes, as: .requests, cuts: Array(1..<bytes.count)) == whole)
  }

  @Test("ends where the next request begins", arguments: heads)
  func pipelined(_ good: Good) {
    let one = requests(good.head)
    #expect(requests(good.head + good.head).messages == one.messages + one.messages)
    let cut = requests(good.head + "GET / HT")
    #expect(cut.messages == one.messages && cut.outcome == .wantsMore)
  }

  @Test(
    "has a method that is any token, in its own case",
    arguments: [
      ("GET", HTTPMethod.get, true, false), ("HEAD", .head, true, false),
      ("POST", .post, false, true), ("PUT", .put, true, true), ("DELETE", .delete, true, false),
      ("OPTIONS", .options, true, false), ("TRACE", .trace, true, false),
      ("PATCH", .patch, false, true), ("get", .other, false, true), ("GETS", .other, false, true),
      ("PURGE", .other, false, true), ("!#$%&'*+-.^_`|~09azAZ", .other, false, true),
    ])
  func methods(name: String, method: HTTPMethod, isIdempotent: Bool, definesBody: Bool) throws {
    let bytes = Array(request("\(name) / HTTP/1.1").utf8)
    let reader = HTTPHeadReader()
    #expect(try reader.readRequest(bytes.span.bytes) == bytes.count)
    #expect(reader.request(in: bytes.span.bytes).knownMethod == method)
    #expect(method.isIdempotent == isIdempotent && method.definesBody == definesBody)
    #expect(requests(request("\(name) / HTTP/1.1")).only?.start.first == Text(stringLiteral: name))
  }

  @Test("keeps its fields in order, without the white space around their values")
  func fields() throws {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\na:2\r\nB:\t\r\nC: \t x \t y \t\r\nD:\r\n\r\n"
    let message = try #require(requests(text).only)
    #expect(message.fields.map(\.name) == ["Host", "A", "a", "B", "C", "D"])
    #expect(message.fields.map(\.value) == ["a", "1", "2", "", "x \t y", ""])
  }

  @Test("takes every byte in a value that RFC 9110 allows, and no other", arguments: 0...255)
  func values(byte: Int) {
    let bytes =
      Array("GET / HTTP/1.1\r\nHost: a\r\nA: 12345678x".utf8) + [UInt8(byte)]
      + Array("x12345678\r\n\r\n".utf8)
    let reading = Reading(bytes, as: .requests)
    let isAllowed = byte == 9 || byte >= 0x20 && byte != 0x7f
    let reason: HTTPViolation.Reason =
      byte == 10 ? .bareLineFeed : byte == 13 ? .bareCarriageReturn : .malformedFieldValue
    #expect(reading.refusal == (isAllowed ? nil : reason))
  }

  @Test("takes every token character in a name, and no other", arguments: 0...255)
  func names(byte: Int) {
    let bytes =
      Array("GET / HTTP/1.1\r\nHost: a\r\nx".utf8) + [UInt8(byte)] + Array("x: 1\r\n\r\n".utf8)
    let reading = Reading(bytes, as: .requests)
    let tokens = Set(
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:".utf8)
    let reason: HTTPViolation.Reason =
      byte == 10 ? .bareLineFeed : byte == 13 ? .bareCarriageReturn : .malformedFieldName
    #expect(reading.refusal == (tokens.contains(UInt8(byte)) ? nil : reason))
    // Eight bytes are looked at together, and none for its neighbour's sake.
    for neighbour in "-a_" {
      let head = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8) + [UInt8(ascii: "x")]
      let name = Array(String(repeating: neighbour, count: 3).utf8)
      let rest = name + [UInt8(byte)] + name + Array(": 1\r\n\r\n".utf8)
      #expect(Reading(head + rest, as: .requests).refusal == reading.refusal)
    }
  }

  @Test("takes visible ASCII but for the number sign in a target, and no other", arguments: 0...255)
  func targets(byte: Int) {
    let bytes =
      Array("GET /12345678x".utf8) + [UInt8(byte)]
      + Array("x1234567 HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    let isAllowed = 0x21...0x7e ~= byte && byte != 0x23
    #expect((Reading(bytes, as: .requests).refusal == nil) == isAllowed)
  }
}

import FDHTTP
import HTTPProperties
import Testing

@Suite("A limit")
struct LimitTests {
  /// Limits of `count` bytes or fields where nil stands for the default.
  private func limits(line: Int? = nil, head: Int? = nil, fields: Int? = nil) -> HTTPLimits {
    var limits = HTTPLimits()
    limits.startLineBytes = line ?? limits.startLineBytes
    limits.headBytes = head ?? limits.headBytes
    limits.fields = fields ?? limits.fields
    return limits
  }

  @Test("on the request line is met by a line of that length, without its CRLF or an empty line")
  func line() {
    let line = "GET /abc?d=e HTTP/1.1"
    for text in [request(line), "\r\n" + request(line)] {
      #expect(requests(text, limits: limits(line: line.utf8.count)).only != nil)
      let tight = limits(line: line.utf8.count - 1)
      #expect(requests(text, limits: tight).refusal == .requestLineTooLong)
    }
    for limit in 1..<line.utf8.count {
      let tight = limits(line: limit)
      #expect(requests(request(line), limits: tight).refusal == .requestLineTooLong)
    }
  }

  @Test("on the head is met by a head of that length, and one byte more is refused at once")
  func head() {
    let text = request("GET / HTTP/1.1", "A: b")
    let count = text.utf8.count
    #expect(requests(text, limits: limits(head: count)).only != nil)
    #expect(requests("\r\n" + text, limits: limits(head: count)).only != nil)
    #expect(requests(text + text, limits: limits(head: count)).messages.count == 2)
    for limit in 1..<count {
      #expect(requests(text, limits: limits(head: limit)).refusal == .headTooLong)
      // What is not complete yet is refused as soon as it cannot be.
      let part = Array(text.utf8.prefix(limit + 1))
      #expect(Reading(part, as: .requests, limits: limits(head: limit)).refusal == .headTooLong)
      let less = Reading(Array(part.dropLast()), as: .requests, limits: limits(head: limit))
      #expect(less.refusal == nil)
    }
  }

  @Test("on the head is one for a trailer section, too")
  func trailers() {
    let section = "A: b\r\nC: d\r\n\r\n"
    #expect(chunks("0\r\n" + section, limits: limits(head: section.utf8.count)).only != nil)
    for limit in 2..<section.utf8.count {
      #expect(chunks("0\r\n" + section, limits: limits(head: limit)).refusal == .headTooLong)
    }
  }

  @Test("on fields is met by so many")
  func fields() {
    let text = request("GET / HTTP/1.1", "A: b", "C: d")
    #expect(requests(text, limits: limits(fields: 3)).only != nil)
    #expect(requests(text, limits: limits(fields: 2)).refusal == .tooManyFields)
    #expect(chunks("0\r\nA: b\r\nC: d\r\n\r\n", limits: limits(fields: 2)).only != nil)
    #expect(
      chunks("0\r\nA: b\r\nC: d\r\n\r\n", limits: limits(fields: 1)).refusal == .tooManyFields)
  }

  @Test("on fields is one on what Connection names, too")
  func nominations() {
    let text = request("GET / HTTP/1.1", "Connection: close, a, b")
    #expect(requests(text, limits: limits(fields: 2)).only != nil)
    let more = request("GET / HTTP/1.1", "Connection: close, a, b, c")
    #expect(requests(more, limits: limits(fields: 2)).refusal == .tooManyFields)
  }

  @Test("on chunk extensions is met by 4096 bytes in all chunks of a body")
  func extensions() {
    let name = String(repeating: "a", count: 4096)
    #expect(chunks("0;\(name)\r\n\r\n").only != nil)
    #expect(chunks("0;\(name)a\r\n\r\n").refusal == .chunkExtensionTooLong)
    #expect(chunks("1;\(name.dropLast())\r\nx\r\n0;b\r\n\r\n").only != nil)
    #expect(chunks("1;\(name)\r\nx\r\n0;b\r\n\r\n").refusal == .chunkExtensionTooLong)
  }

  @Test("on a number's digits is met by the largest that fits, and none overflows")
  func numbers() {
    let length = request("POST / HTTP/1.1", "Content-Length: 999999999999999999")
    #expect(requests(length).messages.first?.framing == .length(999_999_999_999_999_999))
    let chunk = chunks("fffffffffffffff\r\nabc")
    #expect(chunk.refusal == nil && chunk.messages[0].body == Array("abc".utf8))
  }
}

import FDHTTP
import HTTPProperties
import Testing

@Suite("The framing of a message")
struct FramingTests {
  private func head(_ status: String, _ fields: String...) -> String {
    "HTTP/1.1 \(status)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
  }

  @Test(
    "a request's Content-Length is its decimal number, leading zeros and all; none is no body",
    arguments: [
      ("", 0), ("Content-Length: 0\r\n", 0), ("Content-Length: 5\r\n", 5),
      // RFC 9110 has digits, and does not forbid zeros before them.
      ("Content-Length: 005\r\n", 5), ("content-length:\t5 \r\n", 5),
    ])
  func requestLength(field: String, count: Int) throws {
    let text = "POST / HTTP/1.1\r\nHost: a\r\n\(field)\r\n" + "GET / HTTP/1.1\r\n".prefix(count)
    let message = try #require(requests(text).only)
    #expect(message.framing == .length(UInt64(count)))
    #expect(message.body == Array("GET / HTTP/1.1\r\n".utf8.prefix(count)))
  }

  @Test("one byte less than Content-Length is not the end, one more is the next message's")
  func lengthBoundary() {
    let text = request("POST / HTTP/1.1", "Content-Length: 5")
    let less = requests(text + "hell")
    #expect(!less.messages[0].isComplete && less.messages[0].body.count == 4)
    let more = requests(text + "hello" + "G")
    #expect(more.messages[0].isComplete && more.messages.count == 1 && more.outcome == .wantsMore)
    #expect(requests(text + "hello" + "(").refusal == .malformedMethod)
  }

  @Test("a GET with Content-Length has a body: it is no second request")
  func getWithBody() throws {
    let text = request("GET / HTTP/1.1", "Content-Length: 16", body: "GET / HTTP/1.1\r\n")
    #expect(try #require(requests(text).only).body.count == 16)
  }

  @Test("an answer to HEAD, a 1xx, 204 or 304 has no body, whatever its fields say")
  func bodiless() {
    let next = head("200 OK", "Content-Length: 0")
    for status in ["100 Continue", "103 Early Hints", "204 No Content", "304 Not Modified"] {
      let reading = responses(head(status, "Content-Length: 5") + next)
      #expect(reading.messages.map(\.framing) == [.length(0), .length(0)], "\(status)")
    }
    for field in ["Content-Length: 5", "Transfer-Encoding: chunked", "A: b"] {
      let reading = responses(head("200 OK", field) + next, to: .head)
      #expect(reading.messages.map(\.framing) == [.length(0), .length(0)], "\(field)")
    }
    let unchanged = responses(head("304 Not Modified", "Transfer-Encoding: chunked") + next)
    #expect(unchanged.messages.map(\.framing) == [.length(0), .length(0)])
  }

  @Test("what follows a 2xx to CONNECT or a 101 is no body")
  func tunnels() {
    for fields in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
      let text = "HTTP/1.1 200 OK\r\n\(fields)\r\n"
      #expect(responses(text, to: .connect).only?.framing == .length(0))
    }
    let refused = responses(head("407 No", "Content-Length: 1") + "x", to: .connect)
    #expect(refused.only?.framing == .length(1))
    #expect(
      responses(head("101 Go", "Upgrade: x", "Connection: upgrade")).only?.framing == .length(0))
  }

  @Test("any other response has its chunks, its length, or all until the connection ends")
  func responseBodies() throws {
    let chunked = responses(head("200 OK", "Transfer-Encoding: Chunked") + "1\r\nx\r\n0\r\n\r\n")
    #expect(try #require(chunked.only).body == [0x78])
    #expect(responses(head("200 OK", "Content-Length: 1") + "x").only?.body == [0x78])
    let open = responses(head("200 OK") + head("200 OK"))
    #expect(open.messages.count == 1 && open.messages[0].framing == .untilClose)
    #expect(open.messages[0].body == Array(head("200 OK").utf8) && !open.messages[0].isComplete)
    #expect(HTTPBodyReader(.untilClose).endsWithConnection)
    #expect(!HTTPBodyReader(.chunked).endsWithConnection)
    #expect(HTTPBodyReader(.length(0)).isComplete && !HTTPBodyReader(.length(1)).isComplete)
  }

  @Test(
    "a status line may lack its phrase, and the space before it",
    arguments: [
      ("200 OK", "OK"), ("200 ", ""), ("200", ""), ("200 Not\t\u{e9} OK ", "Not\t\u{e9} OK "),
    ])
  func phrases(line: String, phrase: String) {
    let message = responses(head(line, "Content-Length: 0")).only
    #expect(message?.start == ["200", Text(stringLiteral: phrase)])
  }

  @Test("a response's connection goes on by default in HTTP/1.1 and if it says so in HTTP/1.0")
  func persistence() {
    for (version, option, goesOn) in [
      ("1.1", "x", true), ("1.1", "close", false), ("1.0", "x", false), ("1.0", "keep-alive", true),
      ("1.0", "keep-alive, close", false),
    ] {
      let text = "HTTP/\(version) 200 OK\r\nConnection: \(option)\r\nContent-Length: 0\r\n\r\n"
      #expect(responses(text).only?.keepsAlive == goesOn, "\(version) \(option)")
    }
  }

  @Test("a field is for one connection if its name says so, or Connection names it in any case")
  func hopByHop() throws {
    let text = request(
      "GET / HTTP/1.1", "X-Hop: 1", "x-hop: 2", "X-Hope: 3", "Keep-Alive: 4", "TE: trailers",
      "Proxy-Connection: x", "connection: close, ,\tX-HOP , absent", "Connection: other",
      "Other: 5",
      "Upgrade: x", "Via: 1.1 x")
    let message = try #require(requests(text).only)
    #expect(
      message.fields.filter { !$0.isHopByHop }.map(\.name) == ["Host", "X-Hope", "Via"])
  }

  @Test("Expect and Upgrade count in HTTP/1.1 only, and Upgrade only if Connection names it")
  func expectations() {
    func message(_ version: String, _ fields: String) -> Message? {
      requests("GET / HTTP/\(version)\r\nHost: a\r\n\(fields)\r\n\r\n").only
    }
    #expect(message("1.1", "Expect: 100-Continue")?.expectsContinue == true)
    #expect(message("1.0", "Expect: 100-continue")?.expectsContinue == false)
    #expect(message("1.1", "A: b")?.expectsContinue == false)
    #expect(message("1.1", "Upgrade: x\r\nConnection: UPGRADE")?.asksForUpgrade == true)
    #expect(message("1.1", "Upgrade: x")?.asksForUpgrade == false)
    #expect(message("1.1", "Connection: upgrade")?.asksForUpgrade == false)
    #expect(message("1.0", "Upgrade: x\r\nConnection: upgrade")?.asksForUpgrade == false)
  }
}

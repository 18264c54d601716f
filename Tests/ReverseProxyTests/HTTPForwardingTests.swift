import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import TestKit
import Testing

/// What reaches the origin of a request, and the client of an answer.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPForwardingTests {
  /// The only request that reaches an origin of these that are sent.
  private func forwarded(
    _ request: String, _ change: (inout HTTPProxyConfiguration) -> Void = { _ in }
  ) async throws -> RawMessage {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin], change) { test in
      let (answer, rest) = test.ask(request)
      #expect(answer?.status == 200)
      #expect(answer?.bodyText == (request.hasPrefix("HEAD") ? "" : "ok"))
      #expect(rest == "")
    }
    #expect(origin.requests.count == 1)
    return try #require(origin.requests.first)
  }

  /// What the client gets for an answer.
  private func answered(_ answer: String, to request: String = get()) async throws -> RawMessage {
    let origin = ScriptedOrigin(answers: answer)
    var got: RawMessage?
    try await withProxy(to: [origin]) { test in
      let (answer, rest) = test.ask(request)
      #expect(rest == "")
      got = answer
    }
    return try #require(got)
  }

  @Test(arguments: ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY", "get"])
  func `a method is passed on as it is`(_ method: String) async throws {
    let request = try await forwarded("\(method) /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(request.firstLine == "\(method) /a?b=c HTTP/1.1")
  }

  @Test(arguments: [
    ("GET http://b:81/p?q HTTP/1.1\r\nHost: b:81\r\n\r\n", "GET /p?q HTTP/1.1", "b:81"),
    ("GET http://b HTTP/1.1\r\nHost: b\r\n\r\n", "GET / HTTP/1.1", "b"),
    ("GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n", "GET /?q HTTP/1.1", "b"),
    ("OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1", "b"),
    ("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1", "b"),
    ("GET //x/%2e%2e/y HTTP/1.1\r\nHost: b\r\n\r\n", "GET //x/%2e%2e/y HTTP/1.1", "b"),
  ])
  func `a target reaches the origin in origin form`(
    _ sent: String, _ line: String, _ host: String
  ) async throws {
    let request = try await forwarded(sent)
    #expect(request.firstLine == line)
    #expect(request.values("Host") == [host])
  }

  @Test func `Host is the client's, the backend's or a fixed one`() async throws {
    #expect(try await forwarded(get()).values("Host") == ["a"])
    let fixed = try await forwarded(get()) { $0.forwarding.host = .fixed("f:1") }
    #expect(fixed.values("Host") == ["f:1"])
    var name = ""
    let own = try await forwarded(get()) {
      $0.forwarding.host = .backend
      name = $0.groups[0].backends[0].name
    }
    #expect(own.values("Host") == [name])
    let nameless = try await forwarded("GET / HTTP/1.0\r\n\r\n") {
      name = $0.groups[0].backends[0].name
    }
    #expect(nameless.values("Host") == [name])
  }

  @Test func `what concerns the client's connection ends at the proxy`() async throws {
    let request = try await forwarded(
      get(
        "/",
        "Connection: keep-alive, X-Mine , te\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
          + "TE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n"
          + "X-Other: 2\r\nUpgrade: websocket\r\nX-Mine: 3\r\n"))
    for name in ["X-Mine", "Keep-Alive", "TE", "Proxy-Connection", "Upgrade"] {
      #expect(request.values(name) == [], "\(name)")
    }
    #expect(request["X-Other"] == "2")
    let answer = try await answered(
      "HTTP/1.1 200 OK\r\nConnection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: max=1\r\n"
        + "Proxy-Connection: x\r\nX-Other: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
        + "Content-Length: 2\r\n\r\nok")
    for name in ["X-Mine", "Keep-Alive", "Proxy-Connection"] {
      #expect(answer.values(name) == [], "\(name)")
    }
    #expect(answer["X-Other"] == "2")
    #expect(answer.values("Set-Cookie") == ["a", "b"])
    #expect(answer.values("Via") == ["1.1 fdproxy"])
    #expect(answer.values("Date").count == 1)
  }

  @Test func `where a request came from is believed of trusted clients only`() async throws {
    let said = get("/", "X-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nVia: 1.0 x\r\n")
    let untrusted = try await forwarded(said) { $0.forwarding.addsForwarded = true }
    #expect(untrusted.values("X-Forwarded-For") == ["127.0.0.1"])
    #expect(untrusted.values("Forwarded") == ["for=127.0.0.1;host=\"a\";proto=http"])
    #expect(untrusted.values("Via") == ["1.0 x", "1.1 fdproxy"])
    let trusted = try await forwarded(said) {
      $0.forwarding.addsForwarded = true
      try? $0.trust.insert("127.0.0.0/8")
    }
    #expect(trusted.values("X-Forwarded-For") == ["9.9.9.9, 127.0.0.1"])
    #expect(
      trusted.values("Forwarded") == ["for=9.9.9.9", "for=127.0.0.1;host=\"a\";proto=http"])
    let silent = try await forwarded(said) {
      $0.forwarding.addsForwardedFor = false
      $0.forwarding.via = nil
    }
    #expect(silent.values("X-Forwarded-For") == [])
    #expect(silent.values("Forwarded") == [])
    #expect(silent.values("Via") == ["1.0 x"])
  }

  @Test func `a request's body arrives as it was sent, with its length or in chunks`() async throws
  {
    let sized = try await forwarded(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    #expect(sized.values("Content-Length") == ["5"])
    #expect(sized.bodyText == "hello")
    let empty = try await forwarded("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    #expect(empty.values("Content-Length") == ["0"])
    let chunked = try await forwarded(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + "3;ext=\"v\"\r\nhel\r\n00002\r\nlo\r\n0\r\nX-Sum: 7\r\n\r\n")
    #expect(chunked.values("Transfer-Encoding") == ["chunked"])
    #expect(chunked.values("Content-Length") == [])
    #expect(chunked.bodyText == "hello")
    #expect(chunked.trailers == "X-Sum: 7\r\n")
    #expect(!String(decoding: chunked.rawBody, as: UTF8.self).contains("ext"))
  }

  @Test
  func `trailers pass as fields do: what clients say of where they are is dropped there, too`()
    async throws
  {
    let request =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
      + "X-Forwarded-For: 9.9.9.9\r\nKeep-Alive: 5\r\nX-Sum: 7\r\n\r\n"
    let untrusted = try await forwarded(request)
    #expect(untrusted.trailers == "X-Sum: 7\r\n")
    let trusted = try await forwarded(request) { try? $0.trust.insert("127.0.0.0/8") }
    #expect(trusted.trailers == "X-Forwarded-For: 9.9.9.9\r\nX-Sum: 7\r\n")
  }

  @Test func `an answer's body arrives as it was sent`() async throws {
    let sized = try await answered(ok)
    #expect(sized.values("Content-Length") == ["2"] && sized.bodyText == "ok")
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    let chunked = try await answered(chunks + "3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n")
    #expect(chunked.bodyText == "abcde" && chunked.trailers == "X-Sum: 7\r\n")
    #expect(chunked.isWhole)
    let empty = try await answered(chunks + "0\r\n\r\n")
    #expect(empty.bodyText == "" && empty.isWhole)
    let phraseless = try await answered("HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n")
    #expect(phraseless.status == 299)
  }

  @Test func `a client of HTTP 1_0 gets chunks as bytes up to the end`() async throws {
    let answer = try await answered(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX: 1\r\n\r\n",
      to: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(answer.values("Transfer-Encoding") == [])
    #expect(answer.values("Connection") == ["close"])
    #expect(answer.bodyText == "abcde" && answer.isWhole)
    #expect(answer.firstLine == "HTTP/1.1 200 OK")
  }

  @Test func `an HTTP 1_0 client that asks for it keeps its connection`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let answer = client.takeAnswer()
        #expect(answer?.values("Connection") == ["keep-alive"])
        #expect(answer?.bodyText == "ok")
      }
      client.send("GET / HTTP/1.0\r\n\r\n")
      #expect(client.takeAnswer()?.values("Connection") == ["close"])
      #expect(client.takeAll() == [] && client.ending == .end)
    }
    #expect(origin.requests.map(\.firstLine) == Array(repeating: "GET / HTTP/1.1", count: 3))
  }

  @Test func `an origin of HTTP 1_0 ends its answer with the connection`() async throws {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.socket.send(pieces: ["HTTP/1.0 200 OK\r\n\r\nab", "cde"])
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<2 {
        client.send(get())
        let answer = client.takeAnswer()
        #expect(answer?.values("Transfer-Encoding") == ["chunked"])
        #expect(answer?.bodyText == "abcde" && answer?.isWhole == true)
        #expect(answer?.values("Via") == ["1.0 fdproxy"])
      }
    }
    #expect(origin.links.count == 2)
  }

  @Test func `an answer without a body is followed by the next at once`() async throws {
    let heads = [
      ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5"),
      ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", nil),
      ("GET", "HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n", nil),
      ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "7"),
      ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"),
    ]
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let index = Int(request.firstLine.split(separator: " ")[1].dropFirst()) ?? 0
        link.send(heads[index].1)
      }
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for (index, (method, _, length)) in heads.enumerated() {
        client.send("\(method) /\(index) HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = client.takeAnswer(to: method)
        #expect(answer?["Content-Length"] == length, "\(index)")
        #expect(answer?.body == [])
      }
    }
    #expect(origin.links.count == 1)
  }

  @Test func `interim answers are passed on, but not to HTTP 1_0`() async throws {
    let answers =
      "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + ok
    let origin = ScriptedOrigin(answers: answers)
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send(get())
      let hints = client.takeAnswer()
      #expect(hints?.status == 103 && hints?["Link"] == "</x>")
      #expect(client.takeAnswer()?.status == 102)
      #expect(client.takeAnswer()?.bodyText == "ok")
      let (answer, rest) = test.ask("GET / HTTP/1.0\r\n\r\n")
      #expect(answer?.status == 200 && answer?.bodyText == "ok" && rest == "")
    }
  }

  @Test(arguments: [1, 3]) func `pipelined requests are answered in order`(
    _ threads: Int
  ) async throws {
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let path = String(request.firstLine.split(separator: " ")[1])
        if path == "/2" { usleep(20_000) }
        link.send("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)")
      }
    }
    try await withProxy(threads: threads, to: [origin]) { test in
      let client = test.client()
      var batch = ""
      for index in 0..<30 {
        let body = String(repeating: "x", count: index)
        batch += index % 3 == 0 ? get("/\(index)") : ""
        batch +=
          index % 3 == 1
          ? "POST /\(index) HTTP/1.1\r\nHost: a\r\nContent-Length: \(index)\r\n\r\n\(body)" : ""
        batch +=
          index % 3 == 2
          ? "POST /\(index) HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "1\r\ny\r\n0\r\n\r\n" : ""
      }
      client.send(batch)
      client.finish()
      for index in 0..<30 { #expect(client.takeAnswer()?.bodyText == "/\(index)") }
      #expect(client.takeAll() == [] && client.ending == .end)
    }
    #expect(origin.requests.count == 30)
  }

  @Test func `Connection, close ends it on the side that says so`() async throws {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    let origin = ScriptedOrigin(answers: ok, closing, ok)
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<3 {
        client.send(get())
        let answer = client.takeAnswer()
        #expect(answer?.bodyText == "ok" && answer?.values("Connection") == [])
      }
      client.send(get("/", "Connection: close\r\n"))
      #expect(client.takeAnswer()?.values("Connection") == ["close"])
      #expect(client.takeAll() == [] && client.ending == .end)
    }
    #expect(origin.links.map(\.requests.count) == [2, 2])
  }
}

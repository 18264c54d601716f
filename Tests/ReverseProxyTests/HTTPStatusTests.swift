import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import TestKit
import Testing

/// The status with which each failure is answered.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPStatusTests {
  private static let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"

  @Test func `a bad request has its status, and the origin sees nothing of it`() async throws {
    let long = String(repeating: "x", count: 9000)
    let cases: [(String, Int)] = [
      ("GET /\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400), ("\0\r\n\r\n", 400),
      ("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
      (get("/", String(repeating: "X: \(long)\r\n", count: 4)), 431),
      (get("/", String(repeating: "X: y\r\n", count: 100)), 431),
      (get("/", "Transfer-Encoding: gzip\r\n"), 501),
      (get("/", "Expect: the-unexpected\r\n"), 417),
      ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505), ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    ]
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      for (request, status) in cases {
        let (answer, rest) = test.ask(request)
        #expect(answer?.status == status, "\(request.prefix(60))")
        #expect(answer?.values("Connection") == ["close"] && rest == "")
      }
    }
    #expect(origin.links.isEmpty)
  }

  @Test func `TRACE and CONNECT are not allowed`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for request in [
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
      ] {
        client.send(request)
        let answer = client.takeAnswer()
        #expect(answer?.status == 405)
        #expect(answer?["Allow"]?.contains("GET") == true)
      }
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
    }
    #expect(origin.requests.count == 1)
  }

  @Test func `a client that is slow with a head or a body is told so`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.timeouts.clientHeader = .milliseconds(60)
      $0.timeouts.clientBody = .milliseconds(60)
    } _: { test in
      for start in ["GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"] {
        let client = test.client()
        client.send(start)
        #expect(client.takeAnswer()?.status == 408)
        #expect(client.takeAll() == [])
      }
    }
    #expect(origin.requests.isEmpty)
  }

  @Test func `a backend that refuses is a bad gateway, for any request`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    origin.stop()
    try await withProxy(to: [origin]) {
      $0.groups[0].retries = 1
    } _: { test in
      for request in [get(), Self.post, get().replacing("GET", with: "HEAD")] {
        let (answer, rest) = test.ask(request)
        #expect(answer?.status == 502 && answer?.isWhole == true && rest == "")
      }
      let client = test.client()
      for _ in 0..<2 {
        client.send(Self.post)
        #expect(client.takeAnswer()?.status == 502)
      }
    }
  }

  @Test(arguments: [
    "", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 600 No\r\n\r\n", "HTTP/1.1 20 No\r\n\r\n",
    "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nX : 1\r\n\r\n" + ok,
  ]) func `an answer that is none is a bad gateway`(_ answer: String) async throws {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send(answer)
      link.socket.finish()
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) {
      $0.groups[0].retries = 0
    } _: { test in
      let client = test.client()
      client.send(Self.post)
      let answer = client.takeAnswer()
      #expect(answer?.status == 502)
      client.send(get())
      #expect(client.takeAnswer()?.status == 502)
    }
    #expect(origin.requests.count == 2)
  }

  @Test func `a head beyond the limit is a bad gateway`() async throws {
    let field = "X: \(String(repeating: "y", count: 4000))\r\n"
    let origin = ScriptedOrigin(
      answers: "HTTP/1.1 200 OK\r\n\(String(repeating: field, count: 9))\r\n",
      "HTTP/1.1 200 OK\r\n\(String(repeating: "X: y\r\n", count: 101))\r\n")
    try await withProxy(to: [origin]) { test in
      for _ in 0..<2 { #expect(test.ask(get()).answer?.status == 502) }
    }
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\nX : 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n-1\r\n\r\n",
  ]) func `an answer that is cut off never looks complete`(_ answer: String) async throws {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.socket.send(pieces: [String(answer.prefix(60)), String(answer.dropFirst(60))])
      link.socket.finish()
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) { test in
      for request in [get(), "GET / HTTP/1.0\r\n\r\n"] {
        let client = test.client()
        client.send(request)
        let answer = client.takeAnswer()
        #expect(answer == nil || answer?.isWhole == false)
        #expect(client.takeAll() == [] && client.ending == .reset)
      }
    }
    #expect(origin.requests.count == 2)
  }

  @Test func `a backend that is reset in the middle of a body up to the end cuts it off`()
    async throws
  {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send("HTTP/1.1 200 OK\r\n\r\nhel")
      usleep(30_000)
      link.reset()
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send("GET / HTTP/1.0\r\n\r\n")
      #expect(client.takeAnswer()?.isWhole != true)
      #expect(client.ending == .reset)
    }
  }

  @Test func `a backend that does not answer in time is a gateway timeout`() async throws {
    let origin = ScriptedOrigin { link in
      guard let request = link.takeRequest() else { return }
      if request.firstLine.contains("half") { link.send("HTTP/1.1 200 O") }
      if request.firstLine.contains("body") {
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
      }
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) {
      $0.timeouts.server = .milliseconds(TestRun.isSanitized ? 1500 : 400)
    } _: { test in
      let client = test.client()
      for request in [get(), get("/half"), Self.post] {
        client.send(request)
        #expect(client.takeAnswer()?.status == 504)
      }
      client.send(get("/body"))
      #expect(client.takeAnswer()?.isWhole == false)
      #expect(client.ending == .reset)
      // Waiting is not repeated elsewhere.
      #expect(test.retries == 0)
    }
    #expect(origin.links.count == 4)
  }

  @Test func `a backend that takes no body in time is a gateway timeout`() async throws {
    let gate = Gate()
    let origin = ScriptedOrigin { link in
      _ = link.socket.takeHead()
      gate.wait()
    }
    try await withProxy(to: [origin]) {
      $0.timeouts.server = .milliseconds(100)
    } _: { test in
      let client = test.client()
      let sender = startThread {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
        client.send([UInt8](repeating: 0x61, count: 9_000_000))
      }
      let answer = client.takeAnswer()
      #expect(answer?.status == 504)
      client.shutDown()
      joinThread(sender)
      gate.open()
    }
  }

  @Test func `a backend that cannot be reached in time is a gateway timeout`() async throws {
    let listener = RawSocket(RawSocket.open())
    let bound = RawSocket.withLoopback(0) { bind(listener.fd, $0, $1) }
    #expect(bound == 0 && listen(listener.fd, 0) == 0)
    let port = RawSocket.port(of: listener.fd)
    // The kernel drops what comes when nobody accepts.
    let before = (0..<2).map { _ in RawSocket.connecting(to: port) }
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.groups[0].backends = [NamedAddress(SocketAddress(ipv4: (127, 0, 0, 1), port: port))]
      $0.groups[0].retries = 1
      $0.timeouts.connect = .milliseconds(100)
    } _: { test in
      for request in [get(), Self.post] {
        #expect(test.ask(request).answer?.status == 504)
      }
    }
    for socket in before { socket.close() }
  }
}

import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import TestKit
import Testing

/// Requests for another protocol, and the tunnels that they become.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPTunnelTests {
  private let asking = get("/chat", "Connection: upgrade\r\nUpgrade: websocket\r\n")
  private static let switching =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"

  /// Sends back what it gets, behind a greeting, until the end, which it sends back as well.
  private func makeEcho() -> ScriptedOrigin {
    ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send(Self.switching + "hi!")
      while true {
        let bytes = link.socket.takeSome()
        guard !bytes.isEmpty else { break }
        link.socket.send(bytes)
      }
      link.send("bye")
    }
  }

  @Test func `bytes right behind the request and right behind the 101 arrive`() async throws {
    let echo = makeEcho()
    try await withProxy(to: [echo]) { test in
      let client = test.client()
      client.send(asking + "early")
      let head = client.takeHead()
      #expect(head?.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n") == true)
      #expect(RawMessage.values("Upgrade", in: head ?? "") == ["websocket"])
      #expect(RawMessage.values("Connection", in: head ?? "") == ["upgrade"])
      #expect(client.take(8) == Array("hi!early".utf8))
      for number in 0..<20 {
        client.send("message \(number)")
        let expected = Array("message \(number)".utf8)
        #expect(client.take(expected.count) == expected)
      }
      client.finish()
      #expect(client.takeAll() == Array("bye".utf8) && client.ending == .end)
    }
    #expect(echo.requests.first?.values("Upgrade") == ["websocket"])
    #expect(echo.requests.first?.values("Connection") == ["upgrade"])
  }

  @Test func `an upgrade whose request has a body is read on as a tunnel`() async throws {
    let echo = makeEcho()
    try await withProxy(to: [echo]) { test in
      let client = test.client()
      // The body is there before the connection to the origin is.
      client.send(
        "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tcp\r\n"
          + "Content-Length: 5\r\n\r\nhello")
      #expect(client.takeHead()?.hasPrefix("HTTP/1.1 101 ") == true)
      #expect(client.take(3) == Array("hi!".utf8))
      client.send("and on")
      #expect(client.take(6) == Array("and on".utf8))
      client.finish()
      #expect(client.takeAll() == Array("bye".utf8) && client.ending == .end)
    }
    #expect(echo.requests.first?.bodyText == "hello")
  }

  @Test func `a tunnel whose client goes first gives its place back`() async throws {
    let echo = makeEcho()
    try await withProxy(to: [echo]) { test in
      for isAbrupt in [true, false] {
        let client = test.client()
        client.send(asking)
        #expect(client.takeHead() != nil && client.take(3).count == 3)
        #expect(!test.hasFreePlaces)
        if isAbrupt { client.reset() } else { client.close() }
        #expect(await eventually(within: .seconds(10)) { test.hasFreePlaces })
      }
    }
  }

  @Test func `an origin that ends its side still gets what the client sends`() async throws {
    let last = Guarded("")
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send(Self.switching + "done")
      link.socket.finish()
      last.value = String(decoding: link.socket.takeAll(), as: UTF8.self)
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send(asking)
      #expect(client.takeHead() != nil)
      #expect(client.takeAll() == Array("done".utf8) && client.ending == .end)
      client.send("and now for something else")
      client.finish()
      #expect(await eventually { last.value == "and now for something else" })
    }
  }

  @Test func `a client that has ended its side before the 101 is known to have`() async throws {
    let echo = makeEcho()
    try await withProxy(to: [echo]) { test in
      let client = test.client()
      client.send(asking)
      client.finish()
      #expect(client.takeHead() != nil)
      #expect(client.takeAll() == Array("hi!bye".utf8) && client.ending == .end)
    }
  }

  @Test func `more than all buffers goes through both ways at once`() async throws {
    let echo = makeEcho()
    try await withProxy(to: [echo]) { test in
      let client = test.client()
      client.send(asking)
      #expect(client.takeHead() != nil && client.take(3).count == 3)
      let sent = (0..<2 << 20).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let sender = startThread {
        client.send(sent)
        client.finish()
      }
      #expect(client.take(sent.count) == sent)
      joinThread(sender)
      #expect(client.takeAll() == Array("bye".utf8))
    }
  }

  @Test func `a pause of the client does not end a tunnel before its time`() async throws {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send(Self.switching)
      link.socket.send([UInt8](repeating: 0x61, count: 4 << 20))
      _ = link.socket.take(1)
      link.send("late")
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) {
      $0.timeouts.server = .milliseconds(600)
    } _: { test in
      let client = test.client(receiveBuffer: 8192)
      client.send(asking)
      #expect(client.takeHead() != nil)
      // The proxy has stopped reading by then.
      usleep(50_000)
      #expect(client.take(4 << 20).count == 4 << 20)
      usleep(1_000_000)
      client.send("x")
      #expect(client.take(4) == Array("late".utf8))
    }
  }

  @Test func `a silent tunnel ends when its time is over`() async throws {
    let echo = makeEcho()
    try await withProxy(to: [echo]) {
      $0.timeouts.tunnel = .milliseconds(500)
    } _: { test in
      let client = test.client()
      client.send(asking)
      #expect(client.takeHead() != nil && client.take(3).count == 3)
      _ = client.takeAll()
      #expect(client.ending == .reset)
    }
  }

  @Test func `an upgrade to HTTP 2 is not passed on`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      for name in ["h2c", "H2C", "websocket, h2c", "h2"] {
        let client = test.client()
        client.send(
          get(
            "/",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: \(name)\r\nHTTP2-Settings: AAAA\r\n"))
        #expect(client.takeAnswer()?.bodyText == "ok")
      }
    }
    #expect(origin.requests.count == 4)
    for request in origin.requests {
      for name in ["Upgrade", "Connection", "HTTP2-Settings"] {
        #expect(request.values(name) == [])
      }
    }
  }

  @Test func `an origin may decline to switch`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<2 {
        client.send(asking)
        #expect(client.takeAnswer()?.bodyText == "ok")
      }
    }
    #expect(origin.links.count == 1)
  }

  @Test func `an origin that switches unasked is a bad gateway`() async throws {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send(Self.switching + ok)
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) { test in
      let h2c = get("/", "Connection: upgrade\r\nUpgrade: h2c\r\n")
      for request in [get(), h2c, "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"] {
        let (answer, rest) = test.ask(request)
        #expect(answer?.status == 502 && rest == "")
      }
    }
  }
}

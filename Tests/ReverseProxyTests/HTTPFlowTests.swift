import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import Synchronization
import TestKit
import Testing

/// Bodies that wait, answers that come early, and clients and origins that are slow.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPFlowTests {
  private let expecting =
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

  // MARK: Expect: 100-continue

  @Test func `an origin that says 100 gets the body that waits for it`() async throws {
    let origin = ScriptedOrigin { link in
      while let head = link.socket.takeHead() {
        #expect(head.contains("Expect: 100-continue\r\n"))
        #expect(link.socket.staysSilent())
        link.send("HTTP/1.1 100 Continue\r\n\r\n")
        #expect(link.socket.take(5) == Array("hello".utf8))
        link.send(ok)
      }
    }
    try await withProxy(to: [origin]) {
      $0.pool.reuse = .always
    } _: { test in
      let client = test.client()
      for _ in 0..<2 {
        client.send(expecting)
        #expect(client.takeHead() == "HTTP/1.1 100 Continue\r\n\r\n")
        client.send("hello")
        #expect(client.takeAnswer()?.bodyText == "ok")
      }
    }
    #expect(origin.links.count == 1)
  }

  @Test(arguments: ["417 Expectation Failed", "200 OK"])
  func `an origin that answers without 100 is not asked for anything else`(
    _ status: String
  ) async throws {
    let origin = ScriptedOrigin { link in
      guard link.socket.takeHead() != nil else { return }
      link.send("HTTP/1.1 \(status)\r\nContent-Length: 2\r\n\r\nno")
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send(expecting)
      let answer = client.takeAnswer()
      #expect(answer?.firstLine == "HTTP/1.1 \(status)" && answer?.bodyText == "no")
      // Whether the body follows is not known: so nothing else can.
      #expect(answer?.values("Connection") == ["close"])
      client.send(get())
      _ = client.takeAll()
    }
    #expect(origin.received.count == 1 && !origin.received[0].contains("GET"))
  }

  @Test func `a client need not wait for 100`() async throws {
    let origin = ScriptedOrigin { link in
      while link.takeRequest() != nil { link.send("HTTP/1.1 100 Continue\r\n\r\n" + ok) }
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<2 {
        client.send(expecting + "hello")
        #expect(client.takeAnswer()?.status == 200)
      }
    }
    #expect(origin.requests.map(\.bodyText) == ["hello", "hello"])
  }

  // MARK: Back-pressure

  @Test func `an answer larger than all buffers reaches a slow client`() async throws {
    let size = 3 << 20
    let body = String(repeating: "0123456789abcdef", count: size / 16)
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let isChunked = request.firstLine.contains("chunked")
        link.send(
          isChunked
            ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
              + "\(String(size, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
            : "HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n\(body)")
      }
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client(receiveBuffer: 8192)
      client.send(get("/sized") + get("/chunked") + get("/sized"))
      for _ in 0..<3 {
        #expect(client.take(1).count == 1)
        usleep(30_000)
        client.putBack("H")
        let answer = client.takeAnswer()
        #expect(answer?.isWhole == true && answer?.body.count == size)
        #expect(answer.map { String(decoding: $0.body, as: UTF8.self) == body } == true)
      }
    }
    #expect(origin.requests.count == 3)
  }

  @Test func `a request larger than all buffers reaches a slow origin`() async throws {
    let size = 3 << 20
    let body = String(repeating: "0123456789abcdef", count: size / 16)
    let origin = ScriptedOrigin { link in
      for _ in 0..<3 {
        usleep(50_000)
        guard let request = link.takeRequest() else { return }
        #expect(request.body == Array(body.utf8))
        link.send(ok)
      }
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      let sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n\(body)"
      client.send(sized)
      #expect(client.takeAnswer()?.bodyText == "ok")
      client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "\(String(size, radix: 16))\r\n\(body)\r\n0\r\n\r\n")
      #expect(client.takeAnswer()?.bodyText == "ok")
      client.send(sized)
      #expect(client.takeAnswer()?.bodyText == "ok")
    }
  }

  // MARK: Early answers

  @Test func `an early answer reaches the client, and the rest of the body nobody`() async throws {
    let origin = ScriptedOrigin { link in
      guard link.socket.takeHead() != nil else { return }
      link.send(ok)
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
      #expect(client.takeAnswer()?.bodyText == "ok")
      client.send("world" + get("/next"))
      #expect(client.takeAnswer()?.bodyText == "ok")
    }
    // The connection on which half a request stands is nobody else's.
    #expect(origin.links.count == 2)
    #expect(!origin.received.joined().contains("world"))
  }

  @Test func `an origin that refuses a body and goes away is heard, not just found gone`()
    async throws
  {
    let size = 8 << 20
    let origin = ScriptedOrigin { link in
      guard link.socket.takeHead() != nil else { return }
      link.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
      // With much unread: the kernel resets the connection.
      link.end()
    }
    try await withProxy(to: [origin]) { test in
      for _ in 0..<5 {
        let client = test.client()
        let sender = startThread {
          client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
          client.send([UInt8](repeating: 0x61, count: size))
        }
        let answer = client.takeAnswer()
        #expect(answer?.status == 413 && answer?.bodyText == "big")
        client.shutDown()
        joinThread(sender)
      }
    }
  }

  @Test func `an answer that ends before the origin has read the body leaves nobody waiting`()
    async throws
  {
    let size = 8 << 20
    let origin = ScriptedOrigin { link in
      guard let head = link.socket.takeHead() else { return }
      guard head.contains("POST") else {
        link.send(ok)
        return
      }
      // The head at once, the rest when the proxy has long stopped reading the client's body.
      link.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
      usleep(150_000)
      link.send("ok")
      usleep(50_000)
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      let body = [UInt8](repeating: 0x61, count: size)
      let sender = startThread {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(size)\r\n\r\n")
        client.send(body)
      }
      #expect(client.takeAnswer()?.bodyText == "ok")
      joinThread(sender)
      client.send(get("/next"))
      let next = client.takeAnswer()
      #expect(next?.bodyText == "ok" || client.ending != .timeout)
    }
  }

  // MARK: Ends

  @Test func `a client that has sent its last request still gets the answers`() async throws {
    let origin = ScriptedOrigin { link in
      while link.takeRequest() != nil {
        usleep(20_000)
        link.send(ok)
      }
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send(get("/1") + get("/2"))
      client.finish()
      #expect(client.takeAnswer()?.bodyText == "ok")
      #expect(client.takeAnswer()?.bodyText == "ok")
      #expect(client.takeAll() == [] && client.ending == .end)
    }
  }

  @Test func `a client that goes away ends what the origin is doing for it`() async throws {
    let seen = Tally()
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      seen.add()
      link.waitForEnd()
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send(get())
      #expect(await eventually { seen.value == 1 })
      client.reset()
      #expect(await eventually { origin.links[0].ending == .reset && test.hasFreePlaces })
    }
  }

  @Test
  func `a client that takes nothing of its answer is given up, and knows that it is not whole`()
    async throws
  {
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
      while link.socket.send([UInt8](repeating: 0x61, count: 1 << 20)) {}
    }
    try await withProxy(to: [origin]) {
      $0.timeouts.clientBody = .milliseconds(800)
      $0.timeouts.server = .milliseconds(500)
    } _: { test in
      // To the second the end of the connection is that of the body.
      for request in [get(), "GET / HTTP/1.0\r\n\r\n"] {
        let client = test.client(receiveBuffer: 8192)
        client.send(request)
        #expect(await eventually { !test.hasFreePlaces })
        #expect(await eventually { test.hasFreePlaces && test.proxy.clientCount == 0 })
        #expect(client.takeAnswer()?.isWhole != true)
        #expect(client.ending == .reset)
      }
      // It was not the backend that was late.
      #expect(test.backends[0].failures.load(ordering: .relaxed) == 0)
    }
  }

  @Test func `an abandoned body ends with 400 and without a request`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      let (answer, _) = test.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell")
      #expect(answer?.status == 400)
      let (second, _) = test.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n")
      #expect(second?.status == 400)
    }
    #expect(origin.requests.count == 0)
  }
}

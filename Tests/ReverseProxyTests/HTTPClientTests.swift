import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import TestKit
import Testing

/// How many clients there may be, and who they say they are.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPClientTests {
  @Test(arguments: [1, 3]) func `one client too many is turned away until another has left`(
    _ threads: Int
  ) async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(threads: threads, to: [origin]) {
      $0.limits.connections = 3
    } _: { test in
      for _ in 0..<3 {
        let clients = (0..<3).map { _ in test.client() }
        for client in clients {
          client.send(get())
          #expect(client.takeAnswer()?.status == 200)
        }
        let another = test.client()
        another.send(get())
        #expect(another.takeAll() == [] && another.ending != .timeout)
        for client in clients { client.close() }
        #expect(await eventually { test.proxy.clientCount == 0 })
      }
    }
    #expect(origin.requests.count == 9)
  }

  @Test(arguments: ["", "\r\n", "GET /more HTTP/1.1\r\nHost: a\r\n\r\n"])
  func `who says that a request is the last gets its answer, whatever comes after it`(
    _ rest: String
  ) async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + rest)
      #expect(client.takeAnswer()?.status == 200)
      #expect(client.takeAll() == [] && client.ending == .end)
      client.close()
      #expect(await eventually { test.proxy.clientCount == 0 })
    }
    #expect(origin.requests.count == 1)
  }

  @Test func `each address has its own share`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.limits.connectionsPerAddress = 2
      $0.expectsProxyHeader = true
      try? $0.trust.insert("127.0.0.1")
    } _: { test in
      var clients: [RawSocket] = []
      for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"] {
        let client = test.client()
        client.send("PROXY TCP4 \(address) 192.0.2.9 1000 80\r\n\(get())")
        #expect(client.takeAnswer()?.status == 200)
        clients.append(client)
      }
      let another = test.client()
      another.send("PROXY TCP4 192.0.2.1 192.0.2.9 1001 80\r\n\(get())")
      #expect(another.takeAll() == [])
      clients[0].close()
      #expect(await eventually { test.proxy.clientCount == 3 })
      let next = test.client()
      next.send("PROXY TCP4 192.0.2.1 192.0.2.9 1002 80\r\n\(get())")
      #expect(next.takeAnswer()?.status == 200)
    }
  }

  @Test func `a PROXY header from a trusted peer says who the client is`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    let v2 = ProxyHeaderTests.v2(0x21, 0x11, ProxyHeaderTests.tcp4)
    try await withProxy(to: [origin]) {
      $0.expectsProxyHeader = true
      try? $0.trust.insert("127.0.0.1")
    } _: { test in
      let headers = [
        Array("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".utf8), v2,
        Array("PROXY UNKNOWN\r\n".utf8), Array("PROXY TCP6 2001:db8::1 ::1 1 2\r\n".utf8),
      ]
      for header in headers {
        let client = test.client()
        client.send(header + Array(get("/", "X-Forwarded-For: 9.9.9.9\r\n").utf8))
        #expect(client.takeAnswer()?.status == 200)
        let slow = test.client()
        for byte in header {
          slow.send([byte])
          sched_yield()
        }
        usleep(1000)
        slow.send(get() + get())
        for _ in 0..<2 { #expect(slow.takeAnswer()?.status == 200) }
      }
    }
    let from = origin.requests.compactMap { $0["X-Forwarded-For"] }
    for (address, count) in [
      ("192.0.2.1", 6), ("127.0.0.1", 2), ("2001:db8::1", 3), ("9.9.9.9, 127.0.0.1", 1),
    ] {
      #expect(from.filter { $0 == address }.count == count, "\(address) in \(from)")
    }
  }

  @Test func `a PROXY header from anybody else is no request`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.expectsProxyHeader = true
      try? $0.trust.insert("10.0.0.0/8")
    } _: { test in
      #expect(test.ask("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\(get())").answer?.status == 400)
      #expect(test.ask(get()).answer?.status == 200)
    }
    #expect(origin.requests.map { $0["X-Forwarded-For"] } == ["127.0.0.1"])
  }

  @Test func `a trusted peer without a PROXY header is not listened to`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.expectsProxyHeader = true
      $0.timeouts.clientHeader = .milliseconds(100)
      try? $0.trust.insert("127.0.0.1")
    } _: { test in
      for bytes in [get(), "PROXY TCP5 x\r\n" + get(), "PROXY TCP4 192.0."] {
        let client = test.client()
        client.send(bytes)
        #expect(client.takeAll() == [] && client.ending != .timeout)
      }
      #expect(test.proxy.clientCount == 0)
    }
    #expect(origin.links.isEmpty)
  }

  @Test func `a client that says nothing more is closed, and may be after an answer`() async throws
  {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.timeouts.keepAlive = .milliseconds(60)
    } _: { test in
      let client = test.client()
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
      #expect(client.takeAll() == [] && client.ending == .end)
    }
  }
}

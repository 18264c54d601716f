import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import Synchronization
import TestKit
import Testing

/// Another configuration under way, and the end of a proxy.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPReloadTests {
  private static func origin(saying word: String) -> ScriptedOrigin {
    ScriptedOrigin(
      answers: "HTTP/1.1 200 OK\r\nContent-Length: \(word.utf8.count)\r\n\r\n\(word)")
  }

  private static func address(port: UInt16 = 0) -> NamedAddress {
    NamedAddress(SocketAddress(ipv4: (127, 0, 0, 1), port: port))
  }

  @Test func `requests after a reload go to the new backends, those before it end where they are`()
    async throws
  {
    let gate = Gate()
    let old = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        if request.firstLine.contains("slow") { gate.wait() }
        link.send(ok)
      }
    }
    let new = Self.origin(saying: "new")
    defer { new.stop() }
    try await withProxy(threads: 3, to: [old]) { test in
      let clients = (0..<2).map { _ in test.client() }
      clients[0].send(get("/slow"))
      clients[1].send(get())
      #expect(clients[1].takeAnswer()?.bodyText == "ok")
      #expect(await eventually { old.requests.count == 2 })
      var configuration = test.proxy.plan.configuration
      configuration.groups[0].backends = [new.address]
      configuration.groups[0].connectionsPerBackend = 1
      _ = try test.proxy.reload(configuration)
      // Every loop has it by the time that a later message has come round.
      try await test.afterMail()
      clients[1].send(get())
      #expect(clients[1].takeAnswer()?.bodyText == "new")
      gate.open()
      #expect(clients[0].takeAnswer()?.bodyText == "ok")
      clients[0].send(get("/slow"))
      #expect(clients[0].takeAnswer()?.bodyText == "new")
    }
  }

  @Test func `listeners come and go, and their clients stay`() async throws {
    let origin = Self.origin(saying: "ok")
    try await withProxy(threads: 3, to: [origin]) { test in
      let client = test.client()
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
      var configuration = test.proxy.plan.configuration
      let named = configuration.listen[0]
      let taken = RawSocket.freePort()
      configuration.listen = [named, Self.address(port: taken)]
      let both = try test.proxy.reload(configuration)
      #expect(both.compactMap(\.port) == [test.port, taken])
      let second = RawSocket(to: taken)
      second.send(get())
      #expect(second.takeAnswer()?.status == 200)
      configuration.listen = [configuration.listen[1]]
      #expect(try test.proxy.reload(configuration).compactMap(\.port) == [taken])
      #expect(
        await eventually {
          let refused = RawSocket(to: test.port)
          return refused.ending == .reset
        })
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
      let third = RawSocket(to: taken)
      third.send(get())
      #expect(third.takeAnswer()?.status == 200)
    }
  }

  @Test func `an address that is refused leaves everything as it was`() async throws {
    let (old, new) = (Self.origin(saying: "old"), Self.origin(saying: "new"))
    defer { new.stop() }
    try await withProxy(to: [old]) { test in
      var configuration = test.proxy.plan.configuration
      configuration.groups[0].backends = [new.address]
      configuration.listen += [Self.address(port: RawSocket.freePort()), new.address]
      #expect(throws: ListenError.self) { try test.proxy.reload(configuration) }
      let port = try #require(configuration.listen[1].addresses[0].port)
      #expect(await eventually { RawSocket(to: port).ending == .reset })
      #expect(test.ask(get()).answer?.bodyText == "old")
    }
  }

  @Test func `those who wait for a place before and after a reload all get one`() async throws {
    let gate = Gate()
    let origin = ScriptedOrigin { link in
      while link.takeRequest() != nil {
        gate.wait()
        link.send(ok)
      }
    }
    try await withProxy(to: [origin]) {
      $0.groups[0].connectionsPerBackend = 1
    } _: { test in
      let clients = (0..<4).map { _ in test.client() }
      let before = test.proxy.plan.groups[0]
      clients[0].send(get())
      #expect(await eventually { origin.requests.count == 1 })
      clients[1].send(get())
      #expect(await eventually { before.queueLength == 1 })
      _ = try test.proxy.reload(test.proxy.plan.configuration)
      try await test.afterMail()
      let after = test.proxy.plan.groups[0]
      for number in 2...3 {
        clients[number].send(get())
        #expect(await eventually { after.queueLength == number - 1 })
      }
      gate.open()
      for client in clients { #expect(client.takeAnswer()?.bodyText == "ok") }
    }
  }

  @Test func `nothing is lost by reloads under load`() async throws {
    let origins = [Self.origin(saying: "a1"), Self.origin(saying: "b2")]
    try await withProxy(threads: 3, to: origins) { test in
      let isOver = Tally()
      let (answered, wrong) = (Tally(), Tally())
      let configuration = test.proxy.plan.configuration
      await Crew.run(5) { number in
        if number == 4 {
          for turn in 0..<20 {
            var changed = configuration
            changed.groups[0].backends = [configuration.groups[0].backends[turn % 2]]
            changed.pool.idleInAll += turn / 5
            if (try? test.proxy.reload(changed)) == nil { wrong.add() }
            usleep(5000)
          }
          isOver.value = 1
          return
        }
        let client = test.client()
        while isOver.value == 0 {
          client.send(get() + get())
          for _ in 0..<2 {
            let word = client.takeAnswer()?.bodyText
            if word == "a1" || word == "b2" { answered.add() } else { wrong.add() }
          }
          if wrong.value > 10 { return }
        }
      }
      #expect(wrong.value == 0)
      #expect(answered.value > 10)
    }
  }

  // MARK: Drain

  @Test func `a drain lets requests end, closes what is idle and takes nobody`() async throws {
    let gate = Gate()
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        if request.firstLine.contains("slow") { gate.wait() }
        link.send(ok)
      }
    }
    try await withProxy(threads: 3, to: [origin]) { test in
      let (idle, fresh, busy, half) = (test.client(), test.client(), test.client(), test.client())
      idle.send(get())
      #expect(idle.takeAnswer()?.status == 200)
      busy.send(get("/slow"))
      half.send("GET / HTTP/1.1\r\n")
      #expect(await eventually { origin.requests.count == 2 && test.proxy.clientCount == 4 })
      usleep(20_000)
      test.proxy.drain()
      #expect(idle.takeAll() == [] && idle.ending == .end)
      #expect(fresh.takeAll() == [] && fresh.ending != .timeout)
      #expect(await eventually { test.client().ending == .reset })
      #expect(!test.isDrained)
      half.send("Host: a\r\n\r\n")
      let last = half.takeAnswer()
      #expect(last?.bodyText == "ok" && last?["Connection"] == "close")
      gate.open()
      let answer = busy.takeAnswer()
      #expect(answer?.bodyText == "ok" && answer?["Connection"] == "close")
      #expect(busy.takeAll() == [] && busy.ending == .end)
      for client in [idle, fresh, busy, half] { client.close() }
      #expect(await eventually { test.isDrained })
    }
  }

  @Test func `a drain does not wait for a PROXY header, nor take a client after its end`()
    async throws
  {
    let origin = Self.origin(saying: "ok")
    try await withProxy(to: [origin]) {
      $0.expectsProxyHeader = true
      try? $0.trust.insert("127.0.0.1")
    } _: { test in
      let client = test.client()
      client.send("PROXY ")
      #expect(await eventually { test.proxy.listenerStatistics[0].statistics.accepted == 1 })
      test.proxy.drain()
      #expect(await eventually { test.isDrained })
      client.send("UNKNOWN\r\n" + get())
      #expect(client.takeAll() == [] && client.ending != .timeout)
    }
  }
}

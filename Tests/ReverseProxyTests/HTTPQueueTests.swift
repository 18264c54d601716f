import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import Synchronization
import TestKit
import Testing

/// The places at a backend, and those who wait for one.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPQueueTests {
  private static func post(_ path: String = "/") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
  }

  /// Counts what it does at a time, and does nothing until it may.
  private final class Counted: Sendable {
    let now = Tally()
    let most = Guarded(0)
    let order = Guarded<[String]>([])
    let gate = Gate()

    func serve(_ link: OriginLink, pausing microseconds: UInt32 = 0) {
      while let request = link.takeRequest() {
        let count = now.add()
        most.withLock { $0 = max($0, count) }
        order.withLock { $0.append(String(request.firstLine.split(separator: " ")[1])) }
        gate.wait()
        if microseconds > 0 { usleep(microseconds) }
        now.add(-1)
        link.send(ok)
      }
    }
  }

  @Test(arguments: [1, 3]) func `a backend never has more requests than it may`(
    _ threads: Int
  ) async throws {
    let counted = Counted()
    let origin = ScriptedOrigin { counted.serve($0, pausing: 500) }
    try await withProxy(threads: threads, to: [origin]) {
      $0.groups[0].connectionsPerBackend = 3
    } _: { test in
      let answered = Tally()
      // So many at once there are, if it takes a moment.
      async let beginning: Void = {
        _ = await eventually { counted.now.value >= 3 }
        counted.gate.open()
      }()
      await Crew.run(12) { number in
        let client = test.client()
        for _ in 0..<10 {
          client.send(number % 2 == 0 ? get() : Self.post())
          if client.takeAnswer()?.bodyText == "ok" { answered.add() }
        }
      }
      await beginning
      #expect(answered.value == 120)
      #expect(test.proxy.counts.reduce(0) { $0 + $1.queued.current } > 0)
    }
    #expect(counted.most.value == 3)
  }

  @Test func `those who wait are served in order, and who leaves is passed over`() async throws {
    let counted = Counted()
    let origin = ScriptedOrigin { counted.serve($0) }
    try await withProxy(to: [origin]) {
      $0.groups[0].connectionsPerBackend = 1
    } _: { test in
      let group = test.proxy.plan.groups[0]
      let first = test.client()
      first.send(get("/0"))
      #expect(await eventually { counted.now.value == 1 })
      var waiting: [RawSocket] = []
      for number in 1...6 {
        let client = test.client()
        // The body of every other one waits with it.
        client.send(number % 2 == 0 ? get("/\(number)") : Self.post("/\(number)"))
        #expect(await eventually { group.queueLength == number })
        waiting.append(client)
      }
      waiting[1].reset()
      waiting[3].reset()
      #expect(await eventually { group.queueLength == 4 })
      counted.gate.open()
      for index in [0, 2, 4, 5] { #expect(waiting[index].takeAnswer()?.bodyText == "ok") }
    }
    #expect(counted.order.value == ["/0", "/1", "/3", "/5", "/6"])
    #expect(counted.most.value == 1)
  }

  @Test func `who finds the queue full or waits too long is told to come again`() async throws {
    let counted = Counted()
    let origin = ScriptedOrigin { counted.serve($0) }
    try await withProxy(to: [origin]) {
      $0.groups[0].connectionsPerBackend = 1
      $0.groups[0].queueLength = 2
      $0.groups[0].queueTimeout = .milliseconds(150)
    } _: { test in
      let group = test.proxy.plan.groups[0]
      let first = test.client()
      first.send(get())
      #expect(await eventually { counted.now.value == 1 })
      let waiting = [test.client(), test.client()]
      waiting[0].send(get())
      waiting[1].send(Self.post())
      #expect(await eventually { group.queueLength == 2 })
      for client in [test.client()] + waiting {
        if client !== waiting[0] && client !== waiting[1] { client.send(get()) }
        let answer = client.takeAnswer()
        #expect(answer?.status == 503)
        #expect(answer?["Retry-After"] == "1")
      }
      #expect(group.turnedAway.load(ordering: .relaxed) == 3)
      counted.gate.open()
      #expect(first.takeAnswer()?.bodyText == "ok")
      for client in waiting {
        client.send(get())
        #expect(client.takeAnswer()?.bodyText == "ok")
      }
    }
  }

  @Test func `two groups share the places of a backend that is in both`() async throws {
    let counted = Counted()
    let origin = ScriptedOrigin { counted.serve($0) }
    try await withProxy(to: [origin]) {
      $0.groups[0].connectionsPerBackend = 1
      var other = $0.groups[0]
      other.name = "other"
      $0.groups.append(other)
      $0.routes = [.init(pathPrefix: "/other", group: "other")]
    } _: { test in
      let clients = [test.client(), test.client()]
      clients[0].send(get("/"))
      #expect(await eventually { counted.now.value == 1 })
      clients[1].send(get("/other"))
      #expect(await eventually { test.proxy.plan.groups[1].queueLength == 1 })
      counted.gate.open()
      for client in clients { #expect(client.takeAnswer()?.bodyText == "ok") }
    }
    #expect(counted.most.value == 1)
  }

  @Test func `who waits for a backend that is left out meanwhile is served all the same`()
    async throws
  {
    let gate = Gate()
    let origin = ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      gate.wait()
      if link.number > 0 { link.send(ok) }
    }
    try await withProxy(to: [origin]) {
      $0.groups[0].connectionsPerBackend = 1
      $0.groups[0].ejectAfter = 1
      $0.groups[0].queueTimeout = .seconds(5)
    } _: { test in
      let clients = [test.client(), test.client()]
      clients[0].send(Self.post())
      #expect(await eventually { origin.links.first?.requests.count == 1 })
      clients[1].send(Self.post())
      #expect(await eventually { test.proxy.plan.groups[0].queueLength == 1 })
      gate.open()
      #expect(clients[0].takeAnswer()?.status == 502)
      #expect(clients[1].takeAnswer()?.bodyText == "ok")
    }
  }
}

import FDHTTP
import FDNet
import Glibc
import ReverseProxy
import Synchronization
import TestKit
import Testing

/// Which connection a request takes to a backend, and what is sent a second time.
@Suite(.everyBackend, .ledger, .proxyLedger) struct HTTPPoolTests {
  private static func post(_ path: String = "/") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
  }

  /// Answers the first request of each connection, and ends the connection at the second.
  private static func makeOneShot(answering second: String = "") -> ScriptedOrigin {
    ScriptedOrigin { link in
      guard link.takeRequest() != nil else { return }
      link.send(ok)
      guard link.takeRequest() != nil else { return }
      link.send(second)
    }
  }

  @Test func `a reused connection that is closed before any byte is tried again for GET`()
    async throws
  {
    let origin = Self.makeOneShot()
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<3 {
        client.send(get())
        #expect(client.takeAnswer()?.bodyText == "ok")
      }
      #expect(test.retries == 2)
    }
    #expect(origin.links.count == 3)
    #expect(origin.requests.count == 5)
  }

  @Test func `a request that may not be repeated is not tried again`() async throws {
    let origin = Self.makeOneShot()
    try await withProxy(to: [origin]) {
      $0.pool.reuse = .always
    } _: { test in
      let client = test.client()
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
      client.send(Self.post())
      #expect(client.takeAnswer()?.status == 502)
      #expect(test.retries == 0)
    }
    #expect(origin.links.count == 1)
  }

  @Test func `a request of which an answer has begun is not tried again`() async throws {
    for begun in ["H", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
      let origin = Self.makeOneShot(answering: begun)
      try await withProxy(to: [origin]) { test in
        let client = test.client()
        client.send(get())
        #expect(client.takeAnswer()?.status == 200)
        client.send(get())
        var answer = client.takeAnswer()
        if answer?.status == 103 { answer = client.takeAnswer() }
        #expect(answer?.status == 502)
      }
      #expect(origin.requests.count == 2)
    }
  }

  @Test(arguments: [ReusePolicy.never, .safe, .always])
  func `a connection is reused as far as the policy goes`(_ reuse: ReusePolicy) async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.pool.reuse = reuse
    } _: { test in
      let client = test.client()
      for request in [get("/1"), get("/2"), Self.post("/3"), Self.post("/4"), get("/5")] {
        client.send(request)
        #expect(client.takeAnswer()?.status == 200)
      }
    }
    switch reuse {
    case .never: #expect(origin.links.count == 5)
    // Each POST takes a new one; what it leaves serves the next GET.
    case .safe: #expect(origin.links.count == 3)
    case .always: #expect(origin.links.count == 1)
    }
    let closes = origin.requests.filter { $0["Connection"] == "close" }
    #expect(closes.count == (reuse == .never ? 5 : 0))
  }

  @Test func `what is left behind an answer ends the connection`() async throws {
    let origin = ScriptedOrigin { link in
      while link.takeRequest() != nil { link.send(ok + "HTTP/1.1 200 OK\r\n\r\nstolen") }
    }
    try await withProxy(to: [origin]) { test in
      let client = test.client()
      for _ in 0..<3 {
        client.send(get())
        #expect(client.takeAnswer()?.bodyText == "ok")
        #expect(client.staysSilent(milliseconds: 5))
      }
    }
    #expect(origin.links.map(\.requests.count) == [1, 1, 1])
  }

  @Test func `a GET with a body is followed by nothing on its connection`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(to: [origin]) {
      $0.pool.reuse = .always
    } _: { test in
      let client = test.client()
      for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        client.send(Self.post().replacing("POST", with: method))
        #expect(client.takeAnswer(to: method)?.status == 200)
      }
    }
    #expect(origin.links.map(\.requests.count) == [1, 1, 1, 1])
    #expect(origin.requests.allSatisfy { $0["Connection"] == "close" })
  }

  @Test func `a loop takes over what another has left idle`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    try await withProxy(threads: 3, to: [origin]) { test in
      let clients = (0..<12).map { _ in test.client() }
      for _ in 0..<10 {
        for client in clients {
          client.send(get())
          #expect(client.takeAnswer()?.bodyText == "ok")
        }
      }
      let statistics = test.proxy.plan.pool.statistics
      #expect(statistics.takenOver > 0)
      #expect(statistics.takenOver + statistics.reusedLocally + statistics.opened == 120)
    }
    #expect(origin.links.count < 12)
  }

  // MARK: Several backends

  @Test func `a backend that is down is passed over, and left out after a while`() async throws {
    let (down, up) = (ScriptedOrigin(answers: ok), ScriptedOrigin(answers: ok))
    down.stop()
    try await withProxy(to: [down, up]) {
      $0.groups[0].ejectAfter = 3
      $0.groups[0].ejectTime = .seconds(60)
    } _: { test in
      let client = test.client()
      for number in 0..<20 {
        client.send(number % 2 == 0 ? get() : Self.post())
        #expect(client.takeAnswer()?.bodyText == "ok")
      }
      let failed = test.backends[0]
      #expect(failed.failures.load(ordering: .relaxed) == 3)
      #expect(failed.health.ejections.load(ordering: .relaxed) == 1)
    }
    #expect(up.requests.count == 20)
  }

  @Test func `backends that come back within the pauses have lost no request`() async throws {
    let origin = ScriptedOrigin(answers: ok)
    let port = origin.port
    origin.stop()
    let revived = Guarded<ScriptedOrigin?>(nil)
    try await withProxy(to: [origin]) { test in
      let clients = [test.client(), test.client()]
      clients[0].send(get())
      // The body is there while nobody is there to take it.
      clients[1].send(Self.post())
      usleep(50_000)
      revived.value = ScriptedOrigin(port: port, answers: ok)
      for client in clients { #expect(client.takeAnswer()?.bodyText == "ok") }
    }
    revived.value?.stop()
    #expect(revived.value?.requests.count == 2)
  }

  @Test func `a reload without health checks ends what they had found`() async throws {
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let isCheck = request.firstLine == "GET /health HTTP/1.1"
        link.send(isCheck ? "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" : ok)
      }
    }
    try await withProxy(to: [origin]) {
      var check = BackendGroupConfiguration.HealthCheck()
      check.path = "/health"
      check.interval = .milliseconds(1)
      check.timeout = .seconds(5)
      $0.groups[0].healthCheck = check
    } _: { test in
      let checked = test.proxy.plan.configuration
      var unchecked = checked
      unchecked.groups[0].healthCheck = nil
      // A check that is under way when the reload comes says nothing afterwards.
      for _ in 0..<20 {
        #expect(await eventually { !test.backends[0].health.isWell })
        #expect(test.ask(get()).answer?.status == 503)
        _ = try test.proxy.reload(unchecked)
        try await test.afterMail()
        #expect(test.backends[0].health.isWell)
        _ = try test.proxy.reload(checked)
      }
      #expect(await eventually { !test.backends[0].health.isWell })
      _ = try test.proxy.reload(unchecked)
      try await test.afterMail()
      #expect(test.ask(get()).answer?.status == 200)
    }
  }

  @Test func `health checks take a backend out and bring it back`() async throws {
    let isWell = Tally(1)
    let origin = ScriptedOrigin { link in
      while let request = link.takeRequest() {
        let isFine = request.firstLine != "GET /health HTTP/1.1" || isWell.value == 1
        link.send(isFine ? ok : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
      }
    }
    try await withProxy(to: [origin]) {
      var check = BackendGroupConfiguration.HealthCheck()
      check.path = "/health"
      check.interval = .milliseconds(10)
      check.timeout = .seconds(5)
      $0.groups[0].healthCheck = check
    } _: { test in
      let client = test.client()
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
      isWell.value = 0
      #expect(await eventually { !test.backends[0].health.isWell })
      client.send(get())
      let answer = client.takeAnswer()
      #expect(answer?.status == 503 && answer?["Retry-After"] == "1")
      isWell.value = 1
      #expect(await eventually { test.backends[0].health.isWell })
      client.send(get())
      #expect(client.takeAnswer()?.status == 200)
    }
  }
}

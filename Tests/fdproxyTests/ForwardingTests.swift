import FDNet
import Glibc
import SystemPackage
import TestKit
import Testing

extension ProcessTests {
  @Suite("Forwarding", .everyBackend)
  struct ForwardingTests {
    @Test("a client and its backend hear each other", arguments: [1, 4])
    func echo(threads: Int) async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--threads", "\(threads)"]) { proxy in
          for number in 0..<20 {
            let client = try proxy.client()
            #expect(client.echoes("hello \(number)"))
            #expect(client.echoes("and again"))
            client.finish()
            #expect(client.receive() == .end)
          }
          #expect(origin.record.accepted.value == 20)
          try await proxy.waitForReport("the end of all sessions") { $0.sessions == 0 }
        }
      }
    }

    @Test("loops that share one listening socket serve every client")
    func sharedAccept() async throws {
      try await withOrigin(.echo) { origin in
        let arguments = ["--accept", "shared", "--threads", "4", "--groups", "2"]
        try await withProxy(to: [origin.address], arguments) { proxy in
          let clients = try (0..<50).map { _ in try proxy.client() }
          for client in clients { #expect(client.echoes("hello")) }
        }
      }
    }

    @Test("Unix sockets are listened at and forwarded to, and the file goes with the proxy")
    func unixSockets() async throws {
      let folder = "/tmp/fdproxy-test-\(getpid())"
      mkdir(folder, 0o700)
      defer { rmdir(folder) }
      let (front, back) = (folder + "/front", folder + "/back")
      let origin = try Origin(.echo, at: try SocketAddress(parsing: "unix:" + back))
      defer { origin.stop() }
      let proxy = try await Proxy(to: ["unix:" + back], listen: "unix:" + front)
      defer { proxy.end() }
      let client = try TestSocket.connected(toPath: front)
      #expect(client.echoes("hello"))
      client.close()
      proxy.program.send(SIGTERM)
      #expect(try await proxy.program.waitForExit() == 0)
      #expect(access(front, F_OK) != 0)
    }

    @Test("a backend that speaks first is heard", arguments: [0, 3])
    func serverFirst(spares: Int) async throws {
      try await withOrigin(.greet("welcome")) { origin in
        try await withProxy(to: [origin.address], ["--spare", "\(spares)"]) { proxy in
          func idle(_ report: Report) -> Int { report.number("idle", inLineOf: "spares") }
          for _ in 0..<10 {
            if spares > 0 {
              try await proxy.waitForReport("its spares") { idle($0) == spares }
            }
            let client = try proxy.client()
            #expect(client.receiveText(7) == "welcome")
            #expect(client.echoes("hello"))
          }
          if spares > 0 {
            let report = try await proxy.waitForReport("its spares") { idle($0) == spares }
            #expect(report.number("taken on their own loop", inLineOf: "spares") == 10)
            #expect(report.number("stale", inLineOf: "spares") == 0)
          }
        }
      }
    }

    @Test("a client that ends its output still receives the answer, all of it")
    func halfCloseByClient() async throws {
      let length = 3_000_000
      try await withOrigin(.answerAtEnd(length)) { origin in
        try await withProxy(to: [origin.address]) { proxy in
          let client = try proxy.client()
          client.send("what is the answer?")
          client.finish()
          let answer = client.receiveAll()
          #expect(answer?.count == length)
          #expect(answer?.allSatisfy { $0 == 0x2a } == true)
          #expect(origin.record.received.value == 19)
        }
      }
    }

    @Test("a backend that ends its output still receives what the client sends")
    func halfCloseByBackend() async throws {
      try await withOrigin(.greetAndFinish("that is all")) { origin in
        try await withProxy(to: [origin.address]) { proxy in
          let client = try proxy.client()
          #expect(client.receiveAll().map { String(decoding: $0, as: UTF8.self) } == "that is all")
          for _ in 0..<10 { #expect(client.send(String(repeating: "x", count: 10_000))) }
          client.finish()
          let isReceived = await eventually { origin.record.received.value == 100_000 }
          #expect(isReceived)
          let isFinished = await eventually { origin.record.ends.value == [.finished] }
          #expect(isFinished)
        }
      }
    }

    @Test("a client's reset reaches the backend as a reset")
    func resetByClient() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address]) { proxy in
          let client = try proxy.client()
          #expect(client.echoes("hello"))
          client.reset()
          let isReset = await eventually {
            origin.record.ends.value == [.failed(.connectionReset)]
          }
          #expect(isReset, "\(origin.record.ends.value)")
        }
      }
    }

    @Test("a backend's reset reaches the client as a reset")
    func resetByBackend() async throws {
      try await withOrigin(.reset) { origin in
        try await withProxy(to: [origin.address]) { proxy in
          let client = try proxy.client()
          client.send("hello")
          #expect(client.receive() == .reset)
        }
      }
    }

    @Test("what a client sends before its backend is connected arrives")
    func earlyBytes() async throws {
      let busy = BusyPort()
      try await withOrigin(.echo) { origin in
        let arguments = ["--connect-timeout", "0.5"]
        try await withProxy(to: [busy.address, origin.address], arguments) { proxy in
          let client = try proxy.client()
          #expect(client.echoes("sent while the first backend did not answer"))
        }
      }
    }

    @Test("clients beyond --max-connections are turned away")
    func maximum() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--max-connections", "2"]) { proxy in
          let first = try proxy.client()
          let second = try proxy.client()
          #expect(first.echoes("hello") && second.echoes("hello"))
          #expect(try proxy.client().receive() == .reset)
          first.reset()
          try await proxy.waitForReport("one session") { $0.sessions == 1 }
          #expect(try proxy.client().echoes("there is room again"))
        }
      }
    }
  }
}

/// A port whose queue of clients is full, so that the kernel does not answer new ones.
final class BusyPort {
  private let listener = TestSocket.bound(backlog: 0)
  private var clients: [TestSocket] = []
  var address: String { "127.0.0.1:\(listener.port)" }

  init() {
    // More than a queue of none takes in.
    for _ in 0..<4 { clients.append(.connecting(to: listener.port)) }
  }
}

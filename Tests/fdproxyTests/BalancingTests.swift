import FDNet
import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("Choosing a backend", .everyBackend)
  struct BalancingTests {
    /// Runs the body with origins that greet with their letter.
    private func withLettered(
      _ letters: [String], _ arguments: [String], _ body: (Proxy) async throws -> Void
    ) async throws {
      let origins = try letters.map { try Origin(.greet($0)) }
      defer { for origin in origins { origin.stop() } }
      try await withProxy(to: origins.map(\.address), arguments, body)
    }

    @Test("round robin gives each backend the same number of clients", arguments: [1, 3])
    func roundRobin(threads: Int) async throws {
      try await withLettered(["a", "b", "c"], ["--threads", "\(threads)"]) { proxy in
        var served: [String: Int] = [:]
        var clients: [TestSocket] = []
        for _ in 0..<30 {
          let client = try proxy.client()
          served[client.receiveText(1), default: 0] += 1
          clients.append(client)
        }
        #expect(served == ["a": 10, "b": 10, "c": 10])
      }
    }

    @Test("least connections evens out what has become uneven", arguments: [1, 3])
    func leastConnections(threads: Int) async throws {
      let arguments = ["--balance", "least-connections", "--threads", "\(threads)"]
      try await withLettered(["a", "b"], arguments) { proxy in
        var clients: [(letter: String, socket: TestSocket)] = []
        func connect(_ count: Int) throws {
          for _ in 0..<count {
            let client = try proxy.client()
            clients.append((client.receiveText(1), client))
          }
        }
        func count(_ letter: String) -> Int { clients.filter { $0.letter == letter }.count }

        try connect(20)
        #expect((count("a"), count("b")) == (10, 10))
        clients.removeAll { $0.letter == "a" }
        try await proxy.waitForReport("ten sessions") { $0.sessions == 10 }
        try connect(10)
        #expect((count("a"), count("b")) == (10, 10))
      }
    }

    @Test("a backend that refuses is passed over, and a line says so")
    func failover() async throws {
      let (socket, refusing) = refusingAddress()
      defer { socket.close() }
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [refusing, origin.address]) { proxy in
          for _ in 0..<6 { #expect(try proxy.client().echoes("hello")) }
          let line = try await proxy.program.waitFor("that a backend refuses") { text in
            text.split(separator: "\n").first { $0.contains("a backend does not take a client") }
          }
          #expect(line.contains("cannot connect to \(refusing): Connection refused"))
        }
      }
    }

    @Test("a backend that does not answer is passed over after the connect timeout")
    func connectTimeout() async throws {
      let busy = BusyPort()
      try await withOrigin(.echo) { origin in
        let arguments = ["--connect-timeout", "0.3"]
        try await withProxy(to: [busy.address, origin.address], arguments) { proxy in
          let start = ContinuousClock.now
          #expect(try proxy.client().echoes("hello"))
          #expect(ContinuousClock.now - start >= .milliseconds(300))
          try await proxy.program.waitFor("cannot connect to \(busy.address): no answer within")
        }
      }
    }

    @Test("if every backend refuses the client is closed, and the proxy lives")
    func allRefuse() async throws {
      let refusing = [refusingAddress(), refusingAddress()]
      try await withProxy(to: refusing.map(\.address)) { proxy in
        for _ in 0..<40 { #expect(try proxy.client().receive() == .reset) }
        let report = try await proxy.waitForReport("no session") { $0.sessions == 0 }
        for backend in refusing {
          #expect(report.number("failures", inLineOf: "backend \(backend.address)") == 40)
        }
        #expect(proxy.program.errorText.contains("no backend takes a client"))
        #expect(!proxy.program.hasEnded)
      }
    }

    @Test("a backend that comes back is used again")
    func comeBack() async throws {
      let socket = TestSocket.bound(backlog: nil)
      let port = socket.port
      try await withProxy(to: ["127.0.0.1:\(port)"]) { proxy in
        #expect(try proxy.client().receive() == .reset)
        socket.close()
        let origin = try Origin(.echo, at: .loopback(port: port))
        defer { origin.stop() }
        #expect(try proxy.client().echoes("hello"))
      }
    }
  }
}

import FDNet
import FDPoller
import Glibc
import TestKit
import Testing

/// The tests of fdtunnel as processes of their own, one at a time: they count descriptors, and load
/// the machine.
@Suite("fdtunnel", .serialized, .everyBackend, .ledger, .timeLimit(.minutes(3)))
enum TunnelTests {}

extension TunnelTests {
  @Suite("Carrying")
  struct CarryingTests {
    @Test("what a client sends comes back unchanged, and its end with it")
    func echo() async throws {
      try await withEcho(["--threads", "2"]) { tunnel, _ in
        let bytes = pattern(8 << 20)
        let client = try tunnel.client()
        #expect(client.exchange(bytes) == bytes)
      }
    }

    @Test("a service's reset is a reset for its client, with what had come before")
    func serviceResets() async throws {
      try await withService(.reset) { service in
        try await withTunnel { tunnel in
          let agent = try await tunnel.agent(to: [service.address])
          defer { agent.end() }
          let client = try tunnel.client()
          #expect(client.send("please"))
          #expect(client.receive() == .reset)
        }
      }
    }

    @Test(
      "a client's reset reaches the service, whether or not anybody reads",
      arguments: [false, true])
    func clientResets(hasFinished: Bool) async throws {
      try await withService(.flood) { service in
        try await withTunnel { tunnel in
          let agent = try await tunnel.agent(to: [service.address])
          defer { agent.end() }
          let client = try tunnel.client()
          #expect(client.send("more than nothing"))
          #expect(client.receiveText(3) == "***")
          if hasFinished { client.finish() }
          client.reset()
          let isReset = await eventually {
            service.ends.value.contains { $0 != .finished && $0 != .deleted }
          }
          #expect(isReset)
        }
      }
    }

    @Test("clients go to the service that their address names, and an unknown one is said to be")
    func services() async throws {
      try await withService { echo in
        try await withTunnel(clients: ["a/echo=127.0.0.1:0", "a/other=127.0.0.1:0"]) { tunnel in
          let agent = try await tunnel.agent(to: ["echo=\(echo.address)"])
          defer { agent.end() }
          #expect(try tunnel.client().echoes("hello"))
          let line = tunnel.server.outputText.split(separator: "\n").first {
            $0.contains("a/other")
          }
          let port = try #require(line.flatMap { UInt16($0.split(separator: ":").last ?? "") })
          #expect(try TestSocket.connected(to: port).receive() == .reset)
          try await agent.waitFor("there is no --service other")
          try await tunnel.server.waitFor("the agent has no service of that name")
        }
      }
    }

    @Test(
      "a service that nobody listens at is said to be unreachable, and is found when it is back")
    func unreachable() async throws {
      let place = TestSocket.bound(backlog: nil)
      let port = place.port
      try await withTunnel { tunnel in
        let agent = try await tunnel.agent(to: ["127.0.0.1:\(port)"])
        defer { agent.end() }
        #expect(try tunnel.client().receive() == .reset)
        try await agent.waitFor("cannot connect to 127.0.0.1:\(port)")
        try await tunnel.server.waitFor("the agent cannot connect to its service")
        place.close()
        let service = try Service(.echo, at: .loopback(port: port))
        defer { service.stop() }
        #expect(try tunnel.client().echoes("back"))
      }
    }

    @Test("200 streams go on while one is never read, and leave no descriptor behind")
    func manyStreams() async throws {
      _ = Poller.raiseDescriptorLimit(to: 4096)
      try await withEcho(["--threads", "2"]) { tunnel, agent in
        #expect(try tunnel.client().echoes("first"))
        let before = await settled { (tunnel.server.descriptorCount, agent.descriptorCount) }
        try await withStuckClient(tunnel) {
          let clients = try (0..<200).map { _ in try tunnel.client() }
          let failed = Tally()
          await Crew.run(20) { member in
            for round in 0..<3 {
              for (index, client) in clients.enumerated() where index % 20 == member {
                let text = String(repeating: "\(round) \(index) ", count: 2_000)
                if !client.echoes(text) { failed.add() }
              }
            }
          }
          #expect(failed.value == 0)
          for client in clients { client.close() }
        }
        let isClean = await eventually {
          tunnel.server.descriptorCount <= before.0 && agent.descriptorCount <= before.1
        }
        #expect(isClean)
      }
    }

    /// Runs the body while a client has sent all that the tunnel takes, and reads nothing.
    private func withStuckClient(_ tunnel: Tunnel, _ body: () async throws -> Void) async throws {
      let stuck = try tunnel.client()
      stuck.setDeadline(seconds: 0.5)
      let sent = pattern(1 << 20).withUnsafeBytes { bytes in
        (0..<64).first { _ in !stuck.send(bytes) }
      }
      #expect(sent != nil)
      try await body()
      stuck.reset()
    }

    private func settled(_ count: () -> (Int, Int)) async -> (Int, Int) {
      var last = count()
      _ = await eventually(within: .seconds(5)) {
        try? await Task.sleep(for: .milliseconds(50))
        let next = count()
        defer { last = next }
        return next == last
      }
      return last
    }
  }
}

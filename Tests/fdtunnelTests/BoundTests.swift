import FDCoordination
import Glibc
import TestKit
import Testing

@testable import fdtunnel

extension TunnelTests {
  @Suite("Bounds")
  struct BoundTests {
    /// Hangs when it is asked for the first time, and says yes from then on.
    private struct HangingOnce: Authority {
      let calls = Tally()

      func check(_ credential: Credential) async throws {
        if calls.add() == 1 { try await Task.sleep(for: .seconds(1000)) }
      }
    }

    @Test("an agent that joins a check late has the whole time for one of its own", .epollOnly)
    func joiners() async throws {
      let authority = HangingOnce()
      let limit = Duration.seconds(1)
      let gatekeeper = Gatekeeper(authority, limit: limit, memory: .zero)
      let credential = Credential(
        id: .ordinary, token: try #require(AgentToken(Array("sesame".utf8))))
      let first = Task { try await gatekeeper.admit(credential) }
      #expect(await eventually { authority.calls.value == 1 })
      try await Task.sleep(for: limit / 2)
      let second = Task { try await gatekeeper.admit(credential) }
      let refusal = await #expect(throws: Refusal.self) { try await first.value }
      #expect(refusal?.description.contains("timed out after 1.0 seconds") == true)
      try await second.value
      #expect(authority.calls.value == 2)
    }

    @Test("who finds a service full is not counted, and its place is the next one's", .epollOnly)
    func places() {
      let clients = LocalServices.Clients(limit: 2)
      #expect(clients.enter() && clients.enter())
      for _ in 0..<3 { #expect(!clients.enter()) }
      clients.leave()
      #expect(clients.enter() && !clients.enter())
      let census = Census()
      #expect(census.enter(limit: 1) && !census.enter(limit: 1) && census.count == 1)
      let isEmpty = Tally()
      census.close { isEmpty.add() }
      #expect(!census.enter() && isEmpty.value == 0)
      census.leave()
      #expect(isEmpty.value == 1)
    }

    @Test("a flood of clients that cannot be served is no flood of log lines", .epollOnly)
    func log() async throws {
      try await withTunnel(["--wait", "0.3"]) { tunnel in
        let clients = try (0..<200).map { _ in try tunnel.client() }
        for client in clients { #expect(client.receive() == .reset) }
        tunnel.server.send(SIGTERM)
        #expect(try await tunnel.server.waitForExit() == 0)
        let lines = tunnel.server.errorText.split(separator: "\n")
        #expect(1..<100 ~= lines.count { $0.contains("client is reset") })
      }
    }
  }
}

import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("The admin address of a process", .everyBackend)
  struct AdminProcessTests {
    @Test("it answers as long as the proxy drains, and the proxy ends with the last request")
    func watchedDrain() async throws {
      try await withOrigin(.silent) { origin in
        let proxy = try await Proxy([
          "--io", TestedBackend.name, "--threads", "2", "--listen", "127.0.0.1:0", "--backend",
          origin.address, "--admin", "127.0.0.1:0", "--drain-seconds", "600",
        ])
        defer { proxy.end() }
        let port = try await adminPort(of: proxy)
        let client = try proxy.client()
        #expect(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(await eventually { ask(port, "/metrics").contains("\nfdproxy_requests_total 1\n") })
        proxy.program.send(SIGTERM)
        try await proxy.program.waitFor("draining")
        #expect(ask(port, "/stats").contains("\n  \"fdproxy_clients\": 1,\n"))
        #expect(ask(port, "/fds").contains("; client 127.0.0.1:"))
        client.reset()
        #expect(try await proxy.program.waitForExit() == 0)
      }
    }

    private func adminPort(of proxy: Proxy) async throws -> UInt16 {
      try await proxy.program.waitFor("its admin address") { text in
        text.split(separator: "\n").first { $0.hasSuffix("the admin address") }
          .flatMap { $0.split(separator: " ").first { $0.hasPrefix("address=") } }
          .flatMap { UInt16($0.split(separator: ":").last ?? "") }
      }
    }

    /// What comes back, as it is; empty if nobody answers.
    private func ask(_ port: UInt16, _ path: String) -> String {
      guard let client = try? TestSocket.connected(to: port),
        client.send("GET \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      else { return "" }
      return String(decoding: client.receiveAll() ?? [], as: UTF8.self)
    }
  }
}

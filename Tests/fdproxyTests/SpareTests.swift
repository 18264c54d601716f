import FDNet
import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("Spare connections", .everyBackend)
  struct SpareTests {
    @Test("as many as wanted are open, are used, and are replaced")
    func replaced() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--spare", "3", "--threads", "2"]) { proxy in
          try await proxy.waitForReport("three spares") {
            $0.number("idle", inLineOf: "spares") == 3
          }
          #expect(await eventually { origin.record.accepted.value == 3 })
          let client = try proxy.client()
          #expect(client.echoes("hello"))
          let report = try await proxy.waitForReport("three spares again") {
            $0.number("idle", inLineOf: "spares") == 3
              && $0.number("opened", inLineOf: "spares") == 4
          }
          #expect(report.sessions == 1)
          #expect(await eventually { origin.record.accepted.value == 4 })
        }
      }
    }

    @Test("a loop without a spare takes one over from another loop")
    func takenOver() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--spare", "1", "--threads", "2"]) { proxy in
          // The only spare is on one loop, and the kernel gives the clients to either: it does not
          // happen that all fifty meet the spare on their own loop.
          for opened in 1...50 {
            try await proxy.waitForReport("a spare") {
              $0.number("idle", inLineOf: "spares") == 1
                && $0.number("opened", inLineOf: "spares") >= opened
            }
            #expect(try proxy.client().echoes("hello"))
          }
          let report = try await proxy.waitForReport("no session") { $0.sessions == 0 }
          let own = report.number("taken on their own loop", inLineOf: "spares")
          let other = report.number("taken over", inLineOf: "spares")
          #expect(own + other == 50)
          #expect(other > 0)
        }
      }
    }

    @Test("spares whose backend has gone away are dropped, and come back with it")
    func backendGoesAway() async throws {
      let gone = try Origin(.echo)
      var isStopped = false
      defer { if !isStopped { gone.stop() } }
      let other = try Origin(.echo)
      defer { other.stop() }
      let arguments = ["--spare", "2", "--threads", "2"]
      try await withProxy(to: [gone.address, other.address], arguments) { proxy in
        func idle(_ report: Report) -> Int { report.number("idle", inLineOf: "spares") }
        try await proxy.waitForReport("four spares") { idle($0) == 4 }
        gone.stop()
        isStopped = true
        try await proxy.waitForReport("two spares") { idle($0) == 2 }
        for _ in 0..<8 { #expect(try proxy.client().echoes("hello")) }
        #expect(other.record.accepted.value >= 8)
        try await proxy.waitForReport("two spares") { idle($0) == 2 }

        let again = try Origin(.echo, at: try SocketAddress(parsing: gone.address))
        defer { again.stop() }
        try await proxy.waitForReport("four spares") { idle($0) == 4 }
        #expect(await eventually { again.record.accepted.value == 2 })
      }
    }
  }
}

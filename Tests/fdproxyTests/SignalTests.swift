import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("Signals", .everyBackend)
  struct SignalTests {
    @Test(
      "SIGTERM and SIGINT let a transfer finish and take no more clients",
      arguments: [SIGTERM, SIGINT])
    func drain(signal: Int32) async throws {
      try await withOrigin(.drip(15)) { origin in
        try await withProxy(to: [origin.address], ["--threads", "2"]) { proxy in
          let client = try proxy.client()
          #expect(client.receiveText(1) == ".")
          proxy.program.send(signal)
          try await proxy.program.waitFor("draining")
          let isClosed = await eventually { (try? proxy.client()) == nil }
          #expect(isClosed)
          #expect(!proxy.program.hasEnded)
          #expect(client.receiveText(14) == String(repeating: ".", count: 14))
          #expect(client.receive() == .end)
          client.close()
          #expect(try await proxy.program.waitForExit() == 0)
          #expect(!proxy.program.errorText.contains("cut off"))
        }
      }
    }

    @Test("without sessions SIGTERM ends the proxy at once")
    func nothingToDrain() async throws {
      try await withProxy(to: ["127.0.0.1:9"], ["--threads", "3", "--drain-seconds", "600"]) {
        proxy in
        proxy.program.send(SIGTERM)
        let code = try await proxy.program.waitForExit()
        #expect(code == 0)
      }
    }

    @Test("spare connections do not hold up a drain")
    func drainWithSpares() async throws {
      try await withOrigin(.echo) { origin in
        let arguments = ["--spare", "4", "--threads", "2", "--drain-seconds", "600"]
        try await withProxy(to: [origin.address], arguments) { proxy in
          try await proxy.waitForReport("four spares") {
            $0.number("idle", inLineOf: "spares") == 4
          }
          proxy.program.send(SIGTERM)
          #expect(try await proxy.program.waitForExit() == 0)
        }
      }
    }

    @Test("a second SIGTERM ends at once")
    func secondSignal() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--drain-seconds", "600"]) { proxy in
          let client = try proxy.client()
          #expect(client.echoes("hello"))
          proxy.program.send(SIGTERM)
          try await proxy.program.waitFor("draining")
          #expect(client.echoes("still here"))
          proxy.program.send(SIGTERM)
          #expect(try await proxy.program.waitForExit() == 0)
          #expect(client.receive() != .nothingYet)
          #expect(proxy.program.errorText.contains("sessions are cut off"))
        }
      }
    }

    @Test("a drain ends after --drain-seconds")
    func drainDeadline() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--drain-seconds", "0.5"]) { proxy in
          let client = try proxy.client()
          #expect(client.echoes("hello"))
          let start = ContinuousClock.now
          proxy.program.send(SIGTERM)
          #expect(try await proxy.program.waitForExit() == 0)
          #expect(ContinuousClock.now - start >= .milliseconds(500))
          #expect(proxy.program.errorText.contains("sessions are cut off"))
        }
      }
    }

    @Test("SIGUSR1 prints the counters, and everything goes on")
    func report() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], ["--threads", "2"]) { proxy in
          let client = try proxy.client()
          #expect(client.echoes("hello"))
          let report = try await proxy.report()
          #expect(report.sessions == 1)
          #expect(report.number("accepted", inLineOf: "listener 127.0.0.1:\(proxy.port)") == 1)
          #expect(report.number("connected", inLineOf: "backend \(origin.address)") == 1)
          #expect(report.text.contains("\nfdproxy-0: ") && report.text.contains("\nfdproxy-1: "))
          #expect(client.echoes("hello again"))
        }
      }
    }
  }
}

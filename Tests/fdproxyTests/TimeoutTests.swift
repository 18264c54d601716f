import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("Timeouts", .everyBackend)
  struct TimeoutTests {
    @Test(
      "a session in which nothing moves is ended after the timeout, not before",
      arguments: ["--client-timeout", "--server-timeout", "--idle-timeout"])
    func silence(option: String) async throws {
      try await withOrigin(.silent) { origin in
        try await withProxy(to: [origin.address], [option, "0.5"]) { proxy in
          let client = try proxy.client()
          client.send("anybody there?")
          let isConnected = await eventually { origin.record.received.value > 0 }
          #expect(isConnected)
          let start = ContinuousClock.now
          let end = client.receive()
          #expect(end == .reset || end == .end)
          #expect(ContinuousClock.now - start > .milliseconds(300))
          let isEnded = await eventually { origin.record.ends.value.count == 1 }
          #expect(isEnded)
          try await proxy.waitForReport("no session") { $0.sessions == 0 }
        }
      }
    }

    @Test("a client that only receives is not silent, and neither is a backend that only sends")
    func download() async throws {
      try await withOrigin(.drip(25)) { origin in
        let arguments = ["--client-timeout", "1", "--server-timeout", "1", "--idle-timeout", "1"]
        try await withProxy(to: [origin.address], arguments) { proxy in
          let client = try proxy.client()
          #expect(client.receiveText(25) == String(repeating: ".", count: 25))
          #expect(client.receive() == .end)
        }
      }
    }

    @Test("a client that is held back because its backend is slow does not time out")
    func heldBack() async throws {
      let listener = TestSocket.bound(backlog: 8)
      let arguments = ["--client-timeout", "0.5", "--idle-timeout", "0"]
      try await withProxy(to: ["127.0.0.1:\(listener.port)"], arguments) { proxy in
        let client = try proxy.client()
        let backend = try listener.accept()
        // More than the buffers of the kernel and the proxy hold, so that the sender has to wait.
        let total = 64 << 20
        let sender = Worker {
          let chunk = [UInt8](repeating: 7, count: 1 << 20)
          for _ in 0..<total / chunk.count {
            guard chunk.withUnsafeBytes({ client.send($0) }) else { break }
          }
          client.finish()
        }
        defer { sender.join() }
        try await Task.sleep(for: .seconds(2))
        var received = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
          let count = buffer.withUnsafeMutableBytes { backend.receive(into: $0) }
          guard count > 0 else { break }
          received += count
        }
        #expect(received == total)
      }
    }
  }
}

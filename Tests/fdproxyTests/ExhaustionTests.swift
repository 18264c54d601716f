import Glibc
import TestKit
import Testing

extension ProcessTests {
  @Suite("Running out of descriptors", .everyBackend)
  struct ExhaustionTests {
    @Test("some clients are turned away, and when the others have gone new ones are served")
    func exhaustion() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], descriptorLimit: 80) { proxy in
          let before = proxy.program.descriptorCount
          for _ in 0..<3 {
            let clients = try (0..<150).map { _ in try proxy.client() }
            var (served, waiting) = (0, 0)
            for client in clients {
              client.setDeadline(seconds: 0.2)
              if client.echoes("hello") { served += 1 } else { waiting += 1 }
              // Each of those takes the whole deadline.
              if waiting == 5 { break }
            }
            #expect(served > 0 && waiting > 0)
            for client in clients { client.reset() }
            try await proxy.waitForReport("no session") { $0.sessions == 0 }
          }
          // The queue may still have clients that are gone by now; while the last of them are
          // accepted, all at once, a new one may be turned away, too.
          let isServed = try await eventually {
            let client = try proxy.client()
            defer { client.close() }
            return client.echoes("served as ever")
          }
          #expect(isServed)
          let isBack = await eventually { proxy.program.descriptorCount == before }
          #expect(isBack, "\(proxy.program.descriptorCount) descriptors, and there were \(before)")
        }
      }
    }

    @Test("the processor rests while clients wait for descriptors")
    func noBusyLoop() async throws {
      try await withOrigin(.echo) { origin in
        try await withProxy(to: [origin.address], descriptorLimit: 64) { proxy in
          let clients = try (0..<100).map { _ in try proxy.client() }
          try await Task.sleep(for: .milliseconds(300))
          let ticks = proxy.program.processorTicks
          try await Task.sleep(for: .seconds(1))
          // A loop that spins uses a hundred.
          #expect(proxy.program.processorTicks - ticks < 30)
          for client in clients { client.close() }
        }
      }
    }
  }
}

import FDNet
import SystemPackage
import TestKit
import Testing

@testable import FDCoordination
@testable import FDPoller

@Suite("MultiplexedStream: connecting", .serialized, .everyBackend, .ledger)
struct MultiplexedStreamConnectTests {
  @Test("an attempt to connect ends with its task, before it, in it, or after it")
  func cancellation() async throws {
    try await withTestedPoller { poller in
      let deaf = try TestSocket.deaf()
      for pause in [0, 0, 1, 5, 20] {
        for loop in poller.loops {
          let attempt = Task(executorPreference: pause == 5 ? loop : nil) {
            try await MultiplexedConnection.connect(
              to: .loopback(port: deaf[0].port), on: loop, deadline: .seconds(1000))
          }
          if pause > 0 { try await Task.sleep(for: .milliseconds(pause)) }
          attempt.cancel()
          let error = await #expect(throws: ConnectError.self) {
            try await bounded { try await attempt.value }
          }
          #expect(error?.cause == .cancelled)
        }
      }
      try await withPair(on: poller) { client, server in
        let address = try #require(client.core.connection.peerAddress)
        let attempt = Task {
          try await MultiplexedConnection.connect(to: address, on: poller.loops[0])
        }
        let other = try await attempt.value
        attempt.cancel()
        #expect(other.error == nil)
        other.close()
      }
    }
  }

  @Test("what cannot be connected to is said, and so is a poller that does not run")
  func refusals() async throws {
    let nobody = TestSocket.bound(backlog: nil)
    let address = SocketAddress.loopback(port: nobody.port)
    try await withTestedPoller(threads: 1) { poller in
      let error = await #expect(throws: ConnectError.self) {
        try await MultiplexedConnection.connect(to: address, on: poller.loops[0])
      }
      #expect(error?.cause == .refused(.connectionRefused))
    }
    // One attempt begins before the end of a poller that never runs, the other one after it.
    let idle = try Poller(PollerConfiguration(threads: 1))
    let loop = idle.loops[0]
    let attempt = Task { try await MultiplexedConnection.connect(to: address, on: loop) }
    try await Task.sleep(for: .milliseconds(2))
    try idle.stop()
    for attempt in [
      attempt, Task { try await MultiplexedConnection.connect(to: address, on: loop) },
    ] {
      let error = await #expect(throws: ConnectError.self) { try await attempt.value }
      #expect(error?.cause == .poller(.notRunning))
    }
  }
}

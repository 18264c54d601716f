import FDPoller
import TestKit
import Testing

@testable import FDCoordination

@Suite("MultiplexedStream: waiting for the end of a stream", .serialized, .everyBackend, .ledger)
struct MultiplexedStreamFarewellTests {
  @Test(
    "who waits for a stream's end is told of a reset, an end in order, and the connection's end")
  func streamEnds() async throws {
    try await withTestedPoller { poller in
      try await withPair(on: poller) { client, server in
        let (near, far) = try await openPair(client, server)
        let isReset = Task { try await far.ended() }
        near.reset(code: 7)
        #expect(try await bounded { try await isReset.value } == .resetByPeer(code: 7))

        let (one, other) = try await openPair(client, server)
        let isOver = [one, other].map { stream in Task { try await stream.ended() } }
        // Nothing is received of it, and it is sent all the same.
        try await one.send([1, 2, 3])
        one.finish()
        other.finish()
        for end in isOver { #expect(try await bounded { try await end.value } == nil) }
        #expect(try await other.receive() == [1, 2, 3])

        let (given, up) = try await openPair(client, server)
        let cancelled = Task { try await given.ended() }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) {
          try await bounded { try await cancelled.value }
        }
        let isClosed = Task { try await up.ended() }
        server.close()
        #expect(try await bounded { try await isClosed.value } == .closed)
        #expect(try await bounded { try await given.ended() } != nil)
      }
    }
  }
}

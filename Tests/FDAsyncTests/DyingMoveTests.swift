import FDNet
import FDPoller
import TestKit
import Testing

@testable import FDAsync

extension AsyncTests {
  @Suite("Dying on the way")
  struct DyingMoveTests {
    @Test("a connection that dies on the way stays, and its task learns why where it has gone")
    func dying() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          let client = try await Connector.connect(
            to: listener.address, on: poller.loops[0], deadline: nil)
          let end = Task {
            try await client.run { client in
              await #expect(throws: ConnectionClosed(reason: .aborted)) {
                try await client.read { _ in }
              }
              #expect(poller.loops[1].isCurrent)
              #expect(client.write("too late") == .refused)
              await #expect(throws: ConnectionClosed.self) { try await client.drained() }
              client.finishOutput()
              client.close()
              return try await client.closed()
            }
          }
          try await client.waitForReader()
          client.abortWhenLeaving()
          #expect(await client.move(to: poller.loops[1]) == .closed)
          #expect(try await end.value == .aborted)
        }
      }
    }

    @Test(
      "a connection moves on when another one that its task uses is gone, or goes meanwhile",
      arguments: [false, true])
    func survivors(isGoneBefore: Bool) async throws {
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        let used = Guarded<[AsyncConnection]>([])
        try await withServer(on: poller, echo) { backend in
          let serve: @Sendable (AsyncConnection) async throws -> Void = { client in
            try await pool.withConnection(to: backend.address) { upstream in
              used.value = [client, upstream]
              while let request = try await client.read({ $0.withUnsafeBytes(Array.init) }) {
                #expect((upstream.write(request) == .refused) == (request.count > 5))
                _ = try? await upstream.read(exactly: request.count)
                client.write(request)
              }
            }
          }
          try await withServer(on: poller, serve) { listener in
            try await withClient(of: listener.address, on: poller.loops[0]) { client in
              try await client.expectEcho(of: "first")
              let (front, upstream) = (used.value[0], used.value[1])
              let before = front.home.loop
              let after = poller.loops[1 - before.index]
              if isGoneBefore {
                try await upstream.detach { $0.abort() }.value
                let isGone = try await eventually {
                  try await upstream.detach { $0.closeReason != nil }.value
                }
                #expect(isGone)
              } else {
                upstream.abortWhenLeaving()
              }
              #expect(await front.moveWhenItWaits(to: after) == .moved)
              try await client.expectEcho(of: "without it")
              #expect(await upstream.move(to: before) == .closed)
              #expect(await front.moveWhenItWaits(to: before) == .moved)
              try await client.expectEcho(of: "still without it")
            }
          }
          pool.close()
        }
        used.value = []
      }
    }
  }
}

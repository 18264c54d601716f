import FDNet
import FDPoller
import TestKit
import Testing

@testable import FDAsync

extension AsyncTests {
  @Suite("Moving together")
  struct MoveGroupTests {
    // MARK: Pins

    @Test("nothing that a task uses moves while the pool makes another connection for it")
    func borrowing() async throws {
      try await withTestedPoller { poller in
        let deaf = try TestSocket.deaf()
        let pool = ConnectionPool(on: poller)
        let used = Guarded<[AsyncConnection]>([])
        let attempt = Guarded<Task<Void, any Error>?>(nil)
        try await withServer(on: poller, echo) { backend in
          let client = try await Connector.connect(
            to: backend.address, on: poller.loops[0], deadline: nil)
          let task = Task {
            try await client.run { client in
              try await pool.withConnection(to: backend.address) { upstream in
                used.value = [client, upstream]
                attempt.value = client.detach { _ in
                  try await pool.withConnection(to: .loopback(port: deaf[0].port)) { _ in }
                }
                _ = try await upstream.read { _ in }
              }
            }
          }
          #expect(await eventually { pool.statistics.opened == 2 })
          try await used.value[1].waitForReader()
          for connection in used.value + used.value {
            #expect(await connection.move(to: poller.loops[1]) == .busy)
          }
          attempt.value?.cancel()
          await #expect(throws: ConnectError.self) { try await attempt.value?.value }
          #expect(await client.move(to: poller.loops[1]) == .moved)
          #expect(used.value.allSatisfy { $0.home.loop === poller.loops[1] })
          task.cancel()
          await #expect(throws: CancellationError.self) { try await task.value }
          pool.close()
        }
        used.value = []
      }
    }

    @Test("a connection stays while its task connects to somewhere else")
    func connecting() async throws {
      try await withTestedPoller { poller in
        let deaf = try TestSocket.deaf()
        try await withServer(on: poller, echo) { backend in
          let client = try await Connector.connect(
            to: backend.address, on: poller.loops[0], deadline: nil)
          let task = Task {
            try await client.run { client in
              client.detach { try await $0.read { _ in } }
              _ = try await Connector.connect(to: .loopback(port: deaf[0].port), deadline: nil)
            }
          }
          #expect(await eventually { (try? await client.detach { $0.pins }.value) == 1 })
          try await client.waitForReader()
          for _ in 0..<3 { #expect(await client.move(to: poller.loops[1]) == .busy) }
          task.cancel()
          await #expect(throws: ConnectError.self) { try await task.value }
        }
      }
    }

    @Test("what a task of a loop has borrowed stays on that loop")
    func borrowedByLoop() async throws {
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        try await withServer(on: poller, echo) { backend in
          try await Task(executorPreference: poller.loops[0]) {
            try await pool.withConnection(to: backend.address) { upstream in
              async let answer = upstream.read(exactly: 5)
              while upstream.reader == nil { await Task.yield() }
              #expect(await upstream.move(to: poller.loops[1]) == .busy)
              upstream.write("hello")
              let bytes = try await answer
              #expect(bytes == Array("hello".utf8))
            }
          }.value
          pool.close()
        }
      }
    }

    // MARK: Connections within connections

    @Test(
      "a connection that is run within another's task moves with it, and that one goes on alone")
    func nested() async throws {
      try await withTestedPoller(threads: 3) { poller in
        let used = Guarded<[AsyncConnection]>([])
        try await withServer(on: poller, echo) { backend in
          let serve: @Sendable (AsyncConnection) async throws -> Void = { client in
            let upstream = try await Connector.connect(to: backend.address, deadline: nil)
            try await upstream.run { upstream in
              used.value = [client, upstream]
              while let request = try await client.read({ $0.withUnsafeBytes(Array.init) }) {
                upstream.write(request)
                client.write(try await upstream.read(exactly: request.count))
                #expect(client.home.isCurrent && upstream.home.isCurrent)
                if request == Array("alone".utf8) { return }
              }
            }
            try await echo(client)
          }
          try await withServer(on: poller, serve) { listener in
            try await withClient(of: listener.address, on: poller.loops[0]) { client in
              try await client.expectEcho(of: "first")
              let connections = used.value
              for turn in 1...6 {
                let next = poller.loops[(connections[0].home.loop.index + 1) % 3]
                #expect(await connections[turn % 2].moveWhenItWaits(to: next) == .moved)
                #expect(connections.allSatisfy { $0.home.loop === next })
                try await client.expectEcho(of: "turn \(turn)")
              }
              try await client.expectEcho(of: "alone")
              let last = poller.loops[(connections[0].home.loop.index + 1) % 3]
              #expect(await connections[0].moveWhenItWaits(to: last) == .moved)
              #expect(connections[1].home.loop !== last)
              try await client.expectEcho(of: "last")
            }
          }
          used.value = []
        }
      }
    }

    @Test("a connection stays while it waits for one to be run within its task", arguments: [0, 1])
    func joining(place: Int) async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { backend in
          let isDone = try await withClient(of: backend.address, on: poller.loops[0]) { client in
            let upstream = try await Connector.connect(
              to: backend.address, on: poller.loops[place], deadline: nil)
            // They run one after the other, and only then the body does.
            let nested = client.detach { _ in
              try await upstream.run { $0.group != nil && $0.group === client.group }
            }
            #expect(try await client.detach { $0.pins }.value == 1)
            #expect(try await nested.value == (place == 0))
            return await eventually { (try? await client.detach { $0.pins }.value) == 0 }
          }
          #expect(isDone)
        }
      }
    }

    @Test("a connection that comes with what its own tasks have borrowed brings that along")
    func merging() async throws {
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        let borrowed = Guarded<AsyncConnection?>(nil)
        let outer = Guarded<AsyncConnection?>(nil)
        try await withServer(on: poller, echo) { backend in
          let serve: @Sendable (AsyncConnection) async throws -> Void = { client in
            outer.value = client
            let upstream = try await Connector.connect(to: backend.address, deadline: nil)
            let loan = upstream.detach { _ in
              try await pool.withConnection(to: backend.address) { spare in
                borrowed.value = spare
                _ = try? await spare.read(exactly: .max)
                #expect(spare.home.isCurrent)
              }
            }
            while borrowed.value == nil {
              try await EventLoop.current?.sleep(for: .milliseconds(1))
            }
            try await upstream.run { _ in try await echo(client) }
            loan.cancel()
            try await loan.value
          }
          try await withServer(on: poller, serve) { listener in
            try await withClient(of: listener.address, on: poller.loops[0]) { client in
              try await client.expectEcho(of: "first")
              let front = try #require(outer.value)
              let next = poller.loops[1 - front.home.loop.index]
              #expect(await front.moveWhenItWaits(to: next) == .moved)
              #expect(borrowed.value?.home.loop === next)
              try await client.expectEcho(of: "second")
            }
          }
          pool.close()
        }
        (borrowed.value, outer.value) = (nil, nil)
      }
    }
  }
}

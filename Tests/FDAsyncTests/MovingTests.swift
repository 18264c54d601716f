import FDNet
import FDPoller
import TestKit
import Testing

@testable import FDAsync

extension AsyncTests {
  @Suite("Following a connection")
  struct MovingTests {
    /// On which of the loops the calling thread is.
    private static func place(_ poller: Poller) -> Int { EventLoop.current?.index ?? -1 }

    private actor Bystander {
      func place(_ poller: Poller) async -> Int {
        await Task.yield()
        return MovingTests.place(poller)
      }
    }

    private static func nested(_ poller: Poller) async -> Int {
      await Task.yield()
      return place(poller)
    }

    @Test("a connection that moves in mid-conversation takes its task, calls and children along")
    func tenTimes() async throws {
      try await withTestedPoller(threads: 3) { poller in
        let server = Guarded<AsyncConnection?>(nil)
        let places = Guarded<[[Int]]>([])
        let bystander = Bystander()
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          server.value = connection
          while try await connection.read({ connection.write($0) }) != nil {
            async let child = Self.nested(poller)
            let other = connection.detach { _ in Self.place(poller) }
            let seen = [
              Self.place(poller), await Self.nested(poller), await bystander.place(poller),
              await child, try await other.value, Self.place(poller),
            ]
            places.withLock { $0.append(seen) }
          }
        }
        try await withServer(on: poller, serve) { listener in
          try await withClient(of: listener.address, on: poller.loops[0]) { client in
            try await client.expectEcho(of: "first")
            let connection = try #require(server.value)
            for turn in 1...10 {
              let next = poller.loops[(connection.home.loop.index + 1) % 3]
              // Busy as long as the last round is under way.
              while await connection.move(to: next) == .busy { await Task.yield() }
              #expect(connection.home.loop === next)
              try await client.expectEcho(of: "turn \(turn)")
              #expect(await eventually { places.value.count == turn + 1 })
              #expect(places.value.last == Array(repeating: next.index, count: 6))
            }
          }
        }
        #expect(places.value.count == 11)
      }
    }

    @Test("a task may move its own connection")
    func ownMoves() async throws {
      try await withTestedPoller(threads: 3) { poller in
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          while try await connection.read({ connection.write($0) }) != nil {
            let next = poller.loops[(connection.home.loop.index + 1) % 3]
            #expect(await connection.move(to: next) == .moved)
            #expect(next.isCurrent)
            #expect(await connection.move(to: next) == .moved)
          }
        }
        try await withServer(on: poller, serve) { listener in
          try await withClient(of: listener.address, on: poller.loops[0]) { client in
            for turn in 0..<20 { try await client.expectEcho(of: "\(turn)") }
          }
        }
      }
    }

    @Test("a connection whose task does not wait for input is not moved, nor one that is closed")
    func busy() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          let client = try await Connector.connect(
            to: listener.address, on: poller.loops[0], deadline: nil)
          #expect(await client.move(to: poller.loops[1]) == .busy)
          let task = Task { try await client.run { _ = try await $0.read { _ in } } }
          #expect(await eventually { await client.move(to: poller.loops[1]) == .moved })
          #expect(client.home.loop === poller.loops[1])
          task.cancel()
          await #expect(throws: CancellationError.self) { try await task.value }
          #expect(await client.move(to: poller.loops[0]) == .closed)
        }
      }
    }

    @Test("what arrives, ends or is cancelled during a move is dealt with after it")
    func eventsDuringMoves() async throws {
      try await withTestedPoller(threads: 3) { poller in
        let isOver = Guarded(false)
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          connection.detach { connection in
            while !isOver.value, connection.closeReason == nil {
              let next = poller.loops[Int.random(in: 0..<3)]
              _ = await connection.move(to: next)
              await Task.yield()
            }
          }
          var sum = 0
          while let count = try await connection.read({ bytes in
            connection.write(bytes)
            return bytes.byteCount
          }) {
            #expect(connection.home.isCurrent)
            sum += count
          }
        }
        try await withServer(on: poller, serve) { listener in
          await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<6 {
              group.addTask {
                try await withClient(of: listener.address, on: poller.loops[number % 3]) { client in
                  for turn in 0..<60 {
                    let text = "client \(number), turn \(turn)"
                    try await client.expectEcho(of: text)
                  }
                  if number % 2 == 0 { throw CancellationError() }
                }
              }
            }
            while let result = await group.nextResult() {
              if case .failure(let error) = result { #expect(error is CancellationError) }
            }
          }
          isOver.value = true
        }
      }
    }

    @Test("connections of one task move together, or not at all")
    func groups() async throws {
      try await withTestedPoller(threads: 3) { poller in
        let pool = ConnectionPool(on: poller)
        let front = Guarded<AsyncConnection?>(nil)
        try await withServer(on: poller, echo) { backend in
          let proxy: @Sendable (AsyncConnection) async throws -> Void = { client in
            front.value = client
            while let request = try await client.read({ $0.withUnsafeBytes(Array.init) }) {
              try await pool.withConnection(to: backend.address) { upstream in
                upstream.write(request)
                // Twice in a read here: once for each half.
                let answer = try await upstream.read(exactly: request.count)
                #expect(upstream.connection.loop === client.connection.loop)
                #expect(upstream.connection.loop.isCurrent)
                client.write(answer)
              }
            }
          }
          try await withServer(on: poller, proxy) { listener in
            let mover = Guarded(true)
            async let moves: Int = {
              var moves = 0
              while mover.value {
                if let front = front.value {
                  let next = poller.loops[Int.random(in: 0..<3)]
                  if await front.move(to: next) == .moved { moves += 1 }
                }
                await Task.yield()
              }
              return moves
            }()
            try await withClient(of: listener.address, on: poller.loops[0]) { client in
              for turn in 0..<200 {
                try await client.expectEcho(of: "request \(turn)")
              }
            }
            mover.value = false
            #expect(await moves > 0)
          }
          #expect(pool.statistics.opened < 200)
          pool.close()
        }
      }
    }
  }
}

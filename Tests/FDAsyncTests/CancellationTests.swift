import FDNet
import FDPoller
import TestKit
import Testing

@testable import FDAsync

extension AsyncTests {
  @Suite("Cancellation")
  struct CancellationTests {
    /// Cancels the body after so many milliseconds.
    private func expectCancelled(
      after pause: Int, sourceLocation: SourceLocation = #_sourceLocation,
      _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
      let task = Task(operation: body)
      if pause > 0 { try await Task.sleep(for: .milliseconds(pause)) }
      task.cancel()
      await #expect(throws: CancellationError.self, sourceLocation: sourceLocation) {
        try await task.value
      }
    }

    @Test("reaches a read of the connection's task")
    func reads() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          for pause in [0, 1, 20] {
            let client = try await Connector.connect(
              to: listener.address, on: poller.loops[0], deadline: nil)
            try await expectCancelled(after: pause) {
              try await client.run { client in
                _ = try await client.exchange("hello")
                _ = try await client.read { _ in }
              }
            }
          }
        }
      }
    }

    @Test("reaches a read of another task, which may be repeated")
    func detachedReads() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          try await withClient(of: listener.address, on: poller.loops[0]) { client in
            for pause in [0, 1, 10] {
              let reader = client.detach { try await $0.read(exactly: 1) }
              try await poller.loops[0].sleep(for: .milliseconds(pause))
              reader.cancel()
              await #expect(throws: CancellationError.self) { try await reader.value }
            }
            try await client.expectEcho(of: "still there")
            await #expect(throws: DeadlineExceeded.self) {
              try await withDeadline(.milliseconds(10)) { try await client.read(exactly: 1) }
            }
            try await client.expectEcho(of: "and still")
          }
        }
      }
    }

    @Test("reaches a writer that waits for its peer")
    func writers() async throws {
      try await withTestedPoller { poller in
        let isOver = Guarded(false)
        let silent: @Sendable (AsyncConnection) async throws -> Void = { _ in
          while !isOver.value { try await EventLoop.current?.sleep(for: .milliseconds(5)) }
        }
        try await withServer(on: poller, silent) { listener in
          defer { isOver.value = true }
          for pause in [0, 1, 20] {
            let client = try await Connector.connect(
              to: listener.address, on: poller.loops[0], deadline: nil)
            try await expectCancelled(after: pause) {
              try await client.run { client in
                let block = [UInt8](repeating: 0, count: 1 << 20)
                while true {
                  if client.write(block) == .queuedAboveWatermark { try await client.drained() }
                  try Task.checkCancellation()
                }
              }
            }
          }
        }
      }
    }

    @Test("reaches those who wait for the end of a connection, which goes on")
    func mourners() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          for pause in [0, 1, 20] {
            let client = try await Connector.connect(
              to: listener.address, on: poller.loops[0], deadline: nil)
            try await expectCancelled(after: pause) {
              try await client.run { client in
                _ = try await client.exchange("hello")
                _ = try await client.closed()
              }
            }
          }
          try await withClient(of: listener.address, on: poller.loops[0]) { client in
            for pause in [0, 1, 10] {
              let mourner = client.detach { try await $0.closed() }
              try await poller.loops[0].sleep(for: .milliseconds(pause))
              mourner.cancel()
              await #expect(throws: CancellationError.self) { try await mourner.value }
            }
            await #expect(throws: DeadlineExceeded.self) {
              try await withDeadline(.milliseconds(10)) { try await client.closed() }
            }
            try await client.expectEcho(of: "still there")
          }
        }
      }
    }

    @Test("ends a connection whose peer does not close its side")
    func farewells() async throws {
      let settings = ConnectionSettings(drainDeadline: .seconds(600))
      try await withTestedPoller { poller in
        let isOver = Guarded(false)
        let silent: @Sendable (AsyncConnection) async throws -> Void = { _ in
          while !isOver.value { try await EventLoop.current?.sleep(for: .milliseconds(5)) }
        }
        try await withServer(on: poller, silent) { listener in
          for (pause, isStubborn) in [(0, false), (1, false), (20, false), (5, true)] {
            let client = try await Connector.connect(
              to: listener.address, on: poller.loops[0], deadline: nil, settings: settings)
            let ended = Guarded(false)
            let task = Task {
              let result = try await client.run { client in
                // It returns when its connection has learnt of the cancellation, and ignores it.
                while isStubborn && client.scope?.isCancelled != true { await Task.yield() }
                return 7
              }
              ended.value = true
              return result
            }
            if pause > 0 { try await Task.sleep(for: .milliseconds(pause)) }
            task.cancel()
            #expect(await eventually(within: .seconds(20)) { ended.value })
            // Or it would never end.
            if !ended.value { isOver.value = true }
            #expect(try await task.value == 7)
          }
          isOver.value = true
        }
      }
    }

    @Test("reaches an attempt to connect")
    func connecting() async throws {
      try await withTestedPoller { poller in
        // A Unix socket whose queue is full makes connect(2) wait, and so does a full TCP backlog.
        let listener = try AsyncListener(.loopback(port: 0), on: poller, backlog: 1)
        listener.listener.setAccepting(false)
        try await Task.sleep(for: .milliseconds(5))
        var waiting: [Task<AsyncConnection, any Error>] = []
        for _ in 0..<12 {
          waiting.append(
            Task {
              try await Connector.connect(
                to: listener.address, on: poller.loops[0], deadline: .seconds(100))
            })
        }
        try await Task.sleep(for: .milliseconds(50))
        var cancelled = 0
        for task in waiting {
          task.cancel()
          do {
            let connection = try await task.value
            connection.onHome { connection.abort() }
          } catch let error as ConnectError {
            #expect(error.cause == .cancelled)
            cancelled += 1
          }
        }
        #expect(cancelled > 0)
        listener.close()
      }
    }

    @Test("ends a server, its clients' tasks, and those who wait for clients")
    func servers() async throws {
      try await withTestedPoller { poller in
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        let errors = Guarded<[any Error]>([])
        let service = Task {
          await listener.serve(
            onFailure: { _, error in errors.withLock { $0.append(error) } }, echo)
        }
        let clients = try await withThrowingTaskGroup(of: AsyncConnection.self) { group in
          for index in 0..<20 {
            group.addTask {
              try await Connector.connect(
                to: listener.address, on: poller.loops[index % 2], deadline: nil)
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        for client in clients {
          _ = try await client.detach { try await $0.exchange("hello") }.value
        }
        service.cancel()
        await service.value
        #expect(errors.value.count == 20)
        #expect(errors.value.allSatisfy { $0 is CancellationError })
        for client in clients {
          await #expect(throws: ConnectionClosed.self) {
            try await client.run { _ = try await $0.read { _ in } }
          }
        }
        let other = try AsyncListener(.loopback(port: 0), on: poller)
        let iteration = Task { for try await _ in other {} }
        try await Task.sleep(for: .milliseconds(5))
        iteration.cancel()
        await #expect(throws: CancellationError.self) { try await iteration.value }
      }
    }
  }
}

import FDNet
import FDPoller
import SystemPackage
import TestKit
import Testing

@testable import FDAsync

extension AsyncTests {
  @Suite("Borrowing from the pool")
  struct PoolTests {
    private func onLoop<Result: Sendable>(
      _ loop: EventLoop, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
      try await Task(executorPreference: loop) { try await body() }.value
    }

    @Test("a connection that is given back is taken over by a task on another loop")
    func takeovers() async throws {
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        try await withServer(on: poller, echo) { listener in
          for turn in 0..<20 {
            let answer = try await onLoop(poller.loops[turn % 2]) {
              try await pool.withConnection(to: listener.address) { upstream in
                #expect(upstream.home.loop === poller.loops[turn % 2])
                return try await upstream.exchange("turn \(turn)")
              }
            }
            #expect(answer == "turn \(turn)")
            // While the loop is inside its handler nobody takes it over.
            try await poller.loops[turn % 2].sleep(for: .milliseconds(1))
          }
          let statistics = pool.statistics
          #expect(statistics.opened == 1)
          #expect(statistics.takenOver == 19)
          pool.close()
        }
      }
    }

    @Test("a conversation that is not finished, or failed, does not go back")
    func unfinished() async throws {
      struct Failure: Error {}
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        try await withServer(on: poller, echo) { listener in
          try await onLoop(poller.loops[0]) {
            try await pool.withConnection(to: listener.address) { upstream in
              upstream.write("more than is read")
              let piece = try await upstream.read(atMost: 4)
              #expect(piece?.isEmpty == false)
            }
            await #expect(throws: Failure.self) {
              try await pool.withConnection(to: listener.address) { _ in throw Failure() }
            }
            try await pool.withConnection(to: listener.address) { upstream in
              _ = try await upstream.exchange("x")
              upstream.close()
            }
          }
          #expect(pool.statistics.opened == 3)
          #expect(pool.statistics.kept == 0)
          pool.close()
        }
      }
    }

    @Test("what cannot be connected to is said, and an attempt ends with its task")
    func refusals() async throws {
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        let closed = try AsyncListener(.loopback(port: 0), on: poller)
        closed.close()
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
        let error = await #expect(throws: ConnectError.self) {
          try await onLoop(poller.loops[0]) {
            try await pool.withConnection(to: closed.address) { _ in }
          }
        }
        #expect(error?.cause == .refused(.connectionRefused))
        let task = Task(executorPreference: poller.loops[0]) {
          try await pool.withConnection(to: closed.address) { _ in }
        }
        task.cancel()
        await #expect(throws: ConnectError.self) { try await task.value }
      }
    }

    @Test("the borrower's cancellation ends a read of what it has borrowed")
    func cancellation() async throws {
      try await withTestedPoller { poller in
        let pool = ConnectionPool(on: poller)
        let isReading = Guarded(0)
        try await withServer(on: poller, echo) { backend in
          let serve: @Sendable (AsyncConnection) async throws -> Void = { client in
            _ = try await client.read { _ in }
            try await pool.withConnection(to: backend.address) { upstream in
              isReading.withLock { $0 += 1 }
              _ = try await upstream.read { _ in }
            }
          }
          let listener = try AsyncListener(.loopback(port: 0), on: poller)
          let errors = Guarded<[any Error]>([])
          let service = Task {
            await listener.serve(
              onFailure: { _, error in errors.withLock { $0.append(error) } }, serve)
          }
          let clients = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
              for index in 0..<4 {
                group.addTask {
                  try await withClient(of: listener.address, on: poller.loops[index % 2]) {
                    $0.write("go")
                    _ = try? await $0.read { _ in }
                  }
                }
              }
              try await group.waitForAll()
            }
          }
          #expect(await eventually { isReading.value == 4 })
          service.cancel()
          await service.value
          #expect(errors.value.count == 4)
          #expect(errors.value.allSatisfy { $0 is CancellationError })
          try await clients.value
          pool.close()
        }
      }
    }
  }
}

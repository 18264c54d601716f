import FDNet
import FDPoller
import SystemPackage
import TestKit
import Testing

@testable import FDAsync

extension AsyncTests {
  @Suite("Serving")
  struct ListeningTests {
    @Test("every client gets a task on the loop that has accepted it")
    func places() async throws {
      try await withTestedPoller { poller in
        let places = Guarded<Set<Int>>([])
        let serve: @Sendable (AsyncConnection) async throws -> Void = { connection in
          #expect(connection.connection.loop.isCurrent)
          places.withLock { _ = $0.insert(connection.connection.loop.index) }
          try await echo(connection)
        }
        try await withServer(on: poller, serve) { listener in
          try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<100 {
              group.addTask {
                try await withClient(of: listener.address, on: poller.loops[index % 2]) { client in
                  try await client.expectEcho(of: "client \(index)")
                }
              }
            }
            try await group.waitForAll()
          }
        }
        #expect(places.value == [0, 1])
      }
    }

    @Test("a listener is a sequence of connections, which ends when it is closed")
    func sequence() async throws {
      try await withTestedPoller { poller in
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        let server = Task {
          var count = 0
          try await withThrowingDiscardingTaskGroup { group in
            for try await connection in listener {
              count += 1
              group.addTask { try await connection.run(echo) }
            }
          }
          return count
        }
        for index in 0..<30 {
          try await withClient(of: listener.address, on: poller.loops[index % 2]) { client in
            try await client.expectEcho(of: "hello")
          }
        }
        listener.close()
        #expect(try await server.value == 30)
      }
    }

    @Test("closing lets clients finish, and takes no more of them")
    func close() async throws {
      try await withTestedPoller { poller in
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        let service = Task { await listener.serve(echo) }
        try await withClient(of: listener.address, on: poller.loops[0]) { client in
          _ = try await client.exchange("before")
          listener.close()
          try await client.expectEcho(of: "after")
        }
        await service.value
        // The sockets close when all loops have forgotten them.
        let isRefused = await eventually {
          do {
            let late = try await Connector.connect(
              to: listener.address, on: poller.loops[0], deadline: nil)
            late.detach { $0.abort() }
            return false
          } catch {
            return true
          }
        }
        #expect(isRefused)
      }
    }

    @Test("handing over lets clients finish, and leaves new ones to the successor")
    func handOver() async throws {
      try await withTestedPoller { poller in
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        let hasEnded = Guarded(false)
        let service = Task {
          await listener.serve(echo)
          hasEnded.value = true
        }
        let isHandedOver = Tally()
        let successors = try await withClient(of: listener.address, on: poller.loops[0]) { client in
          try await client.expectEcho(of: "before")
          let sockets = try listener.listener.duplicatedDescriptors()
          listener.handOver { isHandedOver.add() }
          #expect(await eventually { isHandedOver.value == 1 })
          // Nobody accepts at this moment, and nobody is refused.
          let early = try await Connector.connect(
            to: listener.address, on: poller.loops[1], deadline: nil)
          let successor = try Listener(adopting: sockets, at: listener.address, on: poller) {
            let connection = AsyncConnection(withoutEvents: $0)
            Task { try await connection.run(echo) }
            return connection.events
          }
          defer { successor.close() }
          try await early.run { try await $0.expectEcho(of: "early") }
          try await client.expectEcho(of: "after")
          #expect(!hasEnded.value)
          return successor.statistics.accepted
        }
        #expect(successors == 1)
        #expect(await eventually(within: .seconds(20)) { hasEnded.value })
        service.cancel()
        await service.value
        #expect(isHandedOver.value == 1)
      }
    }

    @Test("clients whom nobody takes wait in the kernel, and all get their turn")
    func pauses() async throws {
      try await withTestedPoller { poller in
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        let wanted = 2 * AsyncListener.mostWaiting + 100
        try #require(Poller.raiseDescriptorLimit(to: 4 * wanted) > 2 * wanted)
        var clients: [AsyncConnection] = []
        for index in 0..<wanted {
          clients.append(
            try await Connector.connect(
              to: listener.address, on: poller.loops[index % 2], deadline: nil))
        }
        try await Task.sleep(for: .milliseconds(20))
        // What the kernel has brought before it heard of the pause comes too.
        #expect(listener.listener.statistics.accepted < wanted)
        let service = Task { await listener.serve(echo) }
        for client in clients {
          #expect(try await client.run { try await $0.exchange("hello") } == "hello")
        }
        listener.close()
        await service.value
        #expect(listener.listener.statistics.accepted == wanted)
      }
    }

    @Test("who is accepted when nobody waits for clients any more is turned away")
    func latecomers() async throws {
      try await withTestedPoller { poller in
        try await withServer(on: poller, echo) { listener in
          let client = try await Connector.connect(
            to: listener.address, on: poller.loops[0], deadline: nil)
          let intake = Intake(loops: 2)
          #expect(intake.offer(client, at: 1))
          intake.close()
          #expect(!intake.offer(client, at: 1))
          let first = try await intake.next(at: 1)
          let second = try await intake.next(at: 1)
          #expect(first === client && second == nil)
          client.onHome { client.abort() }
        }
      }
    }

    @Test("an error of one client's body ends that connection alone, with a reset")
    func failures() async throws {
      struct Failure: Error {}
      try await withTestedPoller { poller in
        let errors = Guarded<[any Error]>([])
        let listener = try AsyncListener(.loopback(port: 0), on: poller)
        let service = Task {
          await listener.serve(onFailure: { _, error in errors.withLock { $0.append(error) } }) {
            _ = try await $0.read { _ in }
            throw Failure()
          }
        }
        for _ in 0..<3 {
          let error = await #expect(throws: ConnectionClosed.self) {
            try await withClient(of: listener.address, on: poller.loops[0]) { client in
              client.write("x")
              _ = try await client.read { _ in }
            }
          }
          #expect(error?.reason == .failed(.connectionReset))
        }
        listener.close()
        await service.value
        #expect(errors.value.count == 3 && errors.value.allSatisfy { $0 is Failure })
      }
    }

    @Test("a second reader, and a use on a strange thread, trap with a sentence")
    func misuse() async throws {
      await #expect(processExitsWith: .failure) {
        try await FDPoller.withPoller(threads: 1) { poller in
          let listener = try AsyncListener(.loopback(port: 0), on: poller)
          let client = try await Connector.connect(
            to: listener.address, on: poller.loops[0], deadline: nil)
          let first = client.detach { try await $0.read { _ in } }
          let second = client.detach { try await $0.read { _ in } }
          _ = try await (first.value, second.value)
        }
      }
      await #expect(processExitsWith: .failure) {
        try await FDPoller.withPoller(threads: 1) { poller in
          let listener = try AsyncListener(.loopback(port: 0), on: poller)
          let client = try await Connector.connect(
            to: listener.address, on: poller.loops[0], deadline: nil)
          _ = try await Task { try await client.read { _ in } }.value
        }
      }
    }
  }
}

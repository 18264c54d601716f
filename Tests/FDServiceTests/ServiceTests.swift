import FDAsync
import FDNet
import FDPoller
import Logging
import MetricsTestKit
import ServiceLifecycle
import TestKit
import Testing

@testable import FDService

/// One at a time: each counts what the process has open before and after it.
@Suite("As a service", .serialized, .everyBackend, .ledger)
struct ServiceTests {
  private let logger = Logger(label: "service-test") { _ in SwiftLogNoOpLogHandler() }

  private func makePoller() throws -> Poller {
    var configuration = PollerConfiguration(threads: 2)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    configuration.logger = logger
    return try Poller(configuration)
  }

  private func connect(_ address: SocketAddress, _ poller: Poller) async throws -> AsyncConnection {
    try await Connector.connect(to: address, on: poller.loops[0], deadline: .seconds(30))
  }

  @Sendable
  private nonisolated(nonsending) static func echo(_ connection: AsyncConnection) async throws {
    while try await connection.read({ connection.write($0) }) != nil {}
  }

  private static func exchange(_ client: AsyncConnection) async throws -> Int? {
    try await client.detach { client in
      client.write("x")
      return try await client.read { $0.byteCount }
    }.value
  }

  @Test("a graceful shutdown closes the listener, lets clients finish, and stops the poller last")
  func drain() async throws {
    let (server, clients) = (try makePoller(), try makePoller())
    try server.start()
    try clients.start()
    let listener = try AsyncListener(.loopback(port: 0), on: server)
    let service = AsyncServer(listener, logger: logger, Self.echo)
    let group = ServiceGroup(services: [server, service], logger: logger)
    let running = Task { try await group.run() }
    let client = try await connect(listener.address, clients)
    #expect(try await Self.exchange(client) == 1)
    await group.triggerGracefulShutdown()
    #expect(
      await eventually {
        do {
          let late = try await connect(listener.address, clients)
          late.detach { $0.abort() }
          return false
        } catch {
          return true
        }
      })
    #expect(try await Self.exchange(client) == 1)
    client.detach { $0.close() }
    try await running.value
    #expect(!server.loops[0].run {})
    try await clients.shutdown()
  }

  @Test("clients that do not finish are cut at the deadline, outside a group too")
  func cut() async throws {
    let (server, clients) = (try makePoller(), try makePoller())
    try clients.start()
    let running = Task { try await server.run() }
    #expect(await eventually { server.loops[0].run {} })
    try await Task.sleep(for: .milliseconds(20))
    let listener = try AsyncListener(.loopback(port: 0), on: server)
    let service = AsyncServer(listener, logger: logger, Self.echo)
    let serving = Task { try await service.run() }
    let client = try await connect(listener.address, clients)
    #expect(try await Self.exchange(client) == 1)
    await service.shutdown(deadline: .milliseconds(20))
    try await serving.value
    await #expect(throws: (any Error).self) {
      while try await Self.exchange(client) != nil {}
      throw CancellationError()
    }
    try await server.shutdown()
    try await running.value
    try await clients.shutdown()
  }

  @Test("a poller's counters are exported as what they have grown by")
  func metrics() async throws {
    let poller = try makePoller()
    try poller.start()
    let factory = TestMetrics()
    let metrics = PollerMetrics(of: poller, every: .milliseconds(5), factory: factory)
    let running = Task { try await metrics.run() }
    for _ in 0..<20 { try await poller.loops[0].sleep(for: .milliseconds(1)) }
    #expect(await eventually { factory.counterTotal(label: "fd_poller_timers_fired") > 0 })
    running.cancel()
    try await running.value
    try await poller.shutdown()
    metrics.export()
    let snapshot = poller.snapshot()
    for (label, counter) in [
      ("fd_poller_ticks", PollerCounter.ticks), ("fd_poller_timers_fired", .timersFired),
      ("fd_poller_wake_ups_sent", .wakeUpsSent),
    ] {
      #expect(factory.counterTotal(label: label) == Int64(snapshot.total[counter]))
      let ofLoop = factory.counterTotal(
        label: label, dimensions: [("loop", poller.loops[0].name)])
      #expect(ofLoop == Int64(snapshot.loops[0][counter]))
    }
    #expect(try factory.expectRecorder("fd_poller_live_descriptors").lastValue == 0)
  }
}

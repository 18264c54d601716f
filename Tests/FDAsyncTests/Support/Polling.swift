import FDNet
import Logging
import TestKit
import Testing

@testable import FDAsync
@testable import FDPoller

/// Tests with real sockets: one at a time, because each counts what the process has open before and
/// after it.
@Suite("Asynchronous", .serialized, .everyBackend, .ledger)
enum AsyncTests {}

/// Runs the body with a poller of the backend whose turn it is, and checks that all connections are
/// gone after it.
func withTestedPoller(
  threads: Int = 2, _ body: nonisolated(nonsending) (Poller) async throws -> Void
) async throws {
  var configuration = PollerConfiguration(threads: threads)
  configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
  configuration.name = "async-test"
  configuration.tickLimit = .seconds(10)
  configuration.logger = Logger(label: "async-test") { _ in SwiftLogNoOpLogHandler() }
  try await FDPoller.withPoller(configuration, body)
  #expect(await eventually { Connection.liveCount == 0 }, "\(Connection.liveCount) connections")
}

/// Runs a server for as long as the body does, then closes its listener and waits for its clients.
func withServer(
  on poller: Poller, settings: ConnectionSettings = ConnectionSettings(),
  _ serve: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Void,
  _ body: nonisolated(nonsending) (AsyncListener) async throws -> Void
) async throws {
  let listener = try AsyncListener(.loopback(port: 0), on: poller, settings: settings)
  async let service: Void = listener.serve(serve)
  do {
    try await body(listener)
  } catch {
    listener.close()
    throw error
  }
  listener.close()
  await service
}

/// Sends back what comes.
@Sendable
nonisolated(nonsending) func echo(_ connection: AsyncConnection) async throws {
  while let result = try await connection.read({ connection.write($0) }) {
    if result == .queuedAboveWatermark { try await connection.drained() }
  }
}

/// Runs a client on a loop.
func withClient<Result: Sendable>(
  of address: SocketAddress, on loop: EventLoop,
  settings: ConnectionSettings = ConnectionSettings(),
  _ body: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Result
) async throws -> Result {
  try await Connector.connect(to: address, on: loop, deadline: .seconds(30), settings: settings)
    .run(body)
}

extension AsyncConnection {
  /// Reads that many bytes, or fewer if the peer ends before.
  nonisolated(nonsending) func read(exactly count: Int) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let isOpen = try await read { span in
        span.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return true
      }
      if isOpen == nil { break }
    }
    return bytes
  }

  /// Reads into a buffer of that size.
  nonisolated(nonsending) func read(atMost count: Int) async throws -> [UInt8]? {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
    defer { memory.deallocate() }
    var buffer = unsafe OutputRawSpan(buffer: memory, initializedCount: 0)
    let read = try await read(into: &buffer)
    let initialized = unsafe buffer.finalize(for: memory)
    #expect(initialized == read ?? 0)
    return read.map { Array(memory[..<$0]) }
  }

  /// Sends something and waits for as much.
  nonisolated(nonsending) func exchange(_ text: String) async throws -> String {
    write(text)
    return String(decoding: try await read(exactly: text.utf8.count), as: UTF8.self)
  }

  /// Sends something and checks that it comes back.
  nonisolated(nonsending) func expectEcho(of text: String) async throws {
    let answer = try await exchange(text)
    #expect(answer == text)
  }
}

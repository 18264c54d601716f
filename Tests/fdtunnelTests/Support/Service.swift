import FDNet
import FDPoller
import TestKit

/// What an agent leads clients to, in the test's own process.
final class Service {
  /// How it treats a client.
  enum Manner: Sendable {
    /// Sends everything back, and ends when the client ends.
    case echo
    /// Sends without end, and reads nothing.
    case flood
    /// Resets the client when it has sent something.
    case reset
  }

  private let poller: Poller
  private let listener: Listener
  /// How the clients' connections have ended.
  let ends = Guarded<[CloseReason]>([])

  var address: String { "\(listener.address)" }

  init(_ manner: Manner, at address: SocketAddress = .loopback(port: 0)) throws {
    poller = try Poller()
    try poller.start()
    let ends = ends
    do {
      listener = try Listener(address, on: poller) { connection in
        let client = ServiceClient(manner, ends)
        // After the listener has made it the connection's handler.
        connection.loop.schedule(after: .zero) { client.begin(connection) }
        return client
      }
    } catch {
      try poller.stop()
      throw error
    }
  }

  func stop() {
    listener.close()
    try? poller.stop()
  }
}

private final class ServiceClient: ConnectionHandler {
  private static let chunk = [UInt8](repeating: 0x2a, count: 64 << 10)

  private let manner: Service.Manner
  private let ends: Guarded<[CloseReason]>

  init(_ manner: Service.Manner, _ ends: Guarded<[CloseReason]>) {
    self.manner = manner
    self.ends = ends
  }

  func begin(_ connection: Connection) {
    guard case .flood = manner else { return }
    connection.pauseReading()
    flood(connection)
  }

  private func flood(_ connection: Connection) {
    while connection.isWritable, connection.write(Self.chunk.span.bytes) != .queuedAboveWatermark {}
  }

  func received(_ bytes: RawSpan, on connection: Connection) {
    switch manner {
    case .echo: if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
    case .reset: connection.abort()
    case .flood: break
    }
  }

  func drained(_ connection: Connection) {
    if case .flood = manner { flood(connection) } else { connection.resumeReading() }
  }

  func inputEnded(on connection: Connection) { connection.finishOutput() }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    ends.withLock { $0.append(reason) }
  }
}

/// Runs the body with a service, and stops it.
func withService<Result>(
  _ manner: Service.Manner = .echo, _ body: (Service) async throws -> Result
) async throws -> Result {
  let service = try Service(manner)
  defer { service.stop() }
  return try await body(service)
}

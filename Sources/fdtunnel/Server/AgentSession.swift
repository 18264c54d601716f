import FDCoordination
import FDNet

/// A registered agent: its connection, and the clients that it carries.
final class AgentSession: RegisteredSession, Sendable {
  let id: SessionID
  /// For the log.
  let peer: String
  private let link: MultiplexedConnection
  private let clients = Census()

  init(_ id: SessionID, _ peer: String, _ link: MultiplexedConnection) {
    self.id = id
    self.peer = peer
    self.link = link
  }

  var isClosed: Bool { link.error != nil }

  func registryDidShutDown() { retire() }

  /// Takes no more clients, and ends with the last one. Again does nothing.
  func retire() {
    clients.close { [link] in link.close() }
  }

  /// Calls the body with a stream to the agent.
  ///
  /// - Returns: nil if the session takes no clients any more; the body has not been called.
  /// - Throws: why there can be no stream, and what the body throws.
  nonisolated(nonsending) func withStream<Result>(
    _ opening: StreamOpening,
    _ body: nonisolated(nonsending) (MultiplexedStream) async throws -> Result
  ) async throws -> Result? {
    guard clients.enter() else { return nil }
    defer { clients.leave() }
    let stream: MultiplexedStream
    do {
      stream = try link.open(opening.bytes)
    } catch {
      if isClosed { return nil }
      throw error
    }
    return try await body(stream)
  }
}

import FDAsync
import FDNet
import FDPoller

/// As `Relay`, with `await`: a task for each direction, both on the client's loop.
struct AsyncRelay: Server {
  private let service: Task<Void, Never>

  init(
    at address: SocketAddress, to backend: SocketAddress, on poller: Poller
  ) throws(ListenError) {
    let listener = try AsyncListener(address, on: poller)
    service = Task.detached {
      await listener.serve { client in
        let server = try await Connector.connect(to: backend, deadline: .seconds(5))
        let backward = client.detach { client in try await Self.serve(client, from: server) }
        do {
          try await Self.forward(from: client, to: server)
          try await backward.value
        } catch {
          server.abort()
          throw error
        }
      }
    }
  }

  /// The server's direction, and its connection to the end: when both have said all that they will,
  /// it closes by itself.
  private nonisolated(nonsending) static func serve(
    _ client: AsyncConnection, from server: AsyncConnection
  ) async throws {
    do {
      try await server.run { server in
        try await Self.forward(from: server, to: client)
        let reason = try await server.closed()
        guard reason == .finished else { throw ConnectionClosed(reason: reason) }
      }
    } catch {
      client.abort()
      throw error
    }
  }

  private nonisolated(nonsending) static func forward(
    from source: AsyncConnection, to destination: AsyncConnection
  ) async throws {
    while try await source.read({ destination.write($0) }) != nil {
      try await destination.drained()
    }
    destination.finishOutput()
  }

  func close() { service.cancel() }
}

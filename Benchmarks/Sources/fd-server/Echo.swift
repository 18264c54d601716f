import FDAsync
import FDNet
import FDPoller

/// Sends back what comes.
final class Echo: ConnectionHandler {
  func received(_ bytes: RawSpan, on connection: Connection) {
    if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
  }

  func drained(_ connection: Connection) { connection.resumeReading() }
}

/// The same with `await`.
struct AsyncEcho: Server {
  private let service: Task<Void, Never>

  init(at address: SocketAddress, on poller: Poller) throws(ListenError) {
    let listener = try AsyncListener(address, on: poller)
    service = Task.detached {
      await listener.serve { connection in
        while try await connection.read({ connection.write($0) }) != nil {
          try await connection.drained()
        }
      }
    }
  }

  func close() { service.cancel() }
}

import FDNet
import FDPoller

/// A client and its server: what either sends is the other's. Both are on the client's loop.
///
/// A side whose output is full pauses the other's input. The end of one input becomes the end of
/// the other output; any other end of a side resets the other.
final class Relay: ConnectionHandler {
  // The loop's thread alone is in here.
  @exclusivity(unchecked) private let client: Connection
  @exclusivity(unchecked) private var server: Connection?
  /// The server's connection in the making.
  private var attempt: Connection?
  private var isOver = false

  init(_ client: Connection, to backend: SocketAddress, _ settings: ConnectionSettings) {
    self.client = client
    client.pauseReading()
    attempt = Connector.connect(
      to: backend, on: client.loop, deadline: .seconds(5), settings: settings
    ) { [self] result in
      attempt = nil
      switch result {
      case .success(let server): forward(to: server)
      case .failure: end()
      }
    }
  }

  private func forward(to server: Connection) {
    server.setHandler(self)
    guard !isOver else { return server.abort() }
    self.server = server
    client.resumeReading()
  }

  @inline(__always)
  private func peer(of connection: Connection) -> Connection? {
    connection === client ? server : client
  }

  func received(_ bytes: RawSpan, on source: Connection) {
    if peer(of: source)?.write(bytes) == .queuedAboveWatermark { source.pauseReading() }
  }

  func drained(_ destination: Connection) { peer(of: destination)?.resumeReading() }

  func inputEnded(on source: Connection) { peer(of: source)?.finishOutput() }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    if reason != .finished { end() }
  }

  private func end() {
    isOver = true
    client.abort()
    server?.abort()
    attempt?.abort()
  }

  static func server(
    at address: SocketAddress, to backend: SocketAddress, on poller: Poller
  ) throws(ListenError) -> Listener {
    let settings = ConnectionSettings()
    return try Listener(address, on: poller, settings: settings) {
      Relay($0, to: backend, settings)
    }
  }
}

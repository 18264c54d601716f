package import FDNet
import FDPoller
import Logging
import Synchronization

/// A client and its server: what either sends is the other's.
///
/// Both connections run on the client's loop, and so does all of this.
///
/// | stage      | client                                    | server                      |
/// |------------|-------------------------------------------|-----------------------------|
/// | connecting | paused: what it sends waits in the kernel | one backend after the other |
/// | forwarding | open or half closed                       | open or half closed         |
/// | ended      | reset or closed                           | reset or closed             |
///
/// Back-pressure: output above its high watermark pauses the other side's input until it has
/// drained. The end of one side's input becomes the end of the other's output, after everything
/// that is queued; when both have ended the connections close by themselves. Any other end of one
/// side resets the other, because a plain close would tell it that it has got everything.
package final class Session: ConnectionHandler {
  private enum Stage { case connecting, forwarding, ended }

  private let proxy: TCPProxy
  @exclusivity(unchecked) private let client: Connection
  @exclusivity(unchecked) private var server: Connection?
  private var stage = Stage.connecting
  private var candidates: Candidates
  /// The one that is being tried, or was connected to.
  private var backend: Backend?
  /// The connection in the making, to cancel it.
  private var attempt: Connection?
  /// Connections that have not reported their end: the client, and a server or an attempt.
  private var openSides = 1

  init(_ client: Connection, of proxy: TCPProxy) {
    self.client = client
    self.proxy = proxy
    candidates = proxy.balancer.candidates()
    Self.live.add(1, ordering: .relaxed)
  }

  deinit { Self.live.subtract(1, ordering: .relaxed) }

  private static let live = Atomic(0)

  /// How many there are in this process.
  package static var liveCount: Int { live.load(ordering: .relaxed) }
}

// MARK: - Connecting

extension Session {
  /// Looks for a server. Called once.
  func begin() {
    guard let (backend, index) = candidates.next() else { return giveUp() }
    let endpoint = backend.endpoints[index]
    self.backend = backend
    backend.sessions.add(1, ordering: .relaxed)
    openSides += 1
    if let spare = proxy.spares?.take(endpoint, on: client.loop) {
      return connected(spare)
    }
    client.pauseReading()
    attempt = Connector.connect(
      to: endpoint.address, on: client.loop, deadline: proxy.configuration.connectTimeout,
      settings: proxy.serverSettings
    ) { [self] result in
      attempt = nil
      switch result {
      case .success(let server):
        backend.preferred.store(index, ordering: .relaxed)
        connected(server)
      case .failure(let error):
        failed(error)
      }
    }
  }

  private func connected(_ server: Connection) {
    backend?.connected.add(1, ordering: .relaxed)
    server.setHandler(self)
    self.server = server
    guard stage == .connecting else { return server.abort() }
    stage = .forwarding
    client.resumeReading()
    proxy.logger.debug(
      "session begins",
      metadata: [
        "client": "\(client.peerAddress, default: "?")",
        "backend": "\(backend?.name, default: "?")",
        "loop": "\(client.loop.name)",
      ])
  }

  private func failed(_ error: ConnectError) {
    sideIsGone(ofBackend: true)
    // Otherwise it was cancelled.
    guard stage == .connecting else { return }
    backend?.failures.add(1, ordering: .relaxed)
    proxy.warn("a backend does not take a client; trying the next one", ["error": "\(error)"])
    begin()
  }

  private func giveUp() {
    proxy.warn(
      "no backend takes a client; it is closed",
      ["client": "\(client.peerAddress, default: "?")"])
    end()
  }
}

// MARK: - Forwarding

extension Session {
  @inline(__always)
  private func peer(of connection: Connection) -> Connection? {
    connection === client ? server : client
  }

  package func received(_ bytes: RawSpan, on source: Connection) {
    if peer(of: source)?.write(bytes) == .queuedAboveWatermark { source.pauseReading() }
  }

  package func drained(_ destination: Connection) { peer(of: destination)?.resumeReading() }

  package func inputEnded(on source: Connection) { peer(of: source)?.finishOutput() }
}

// MARK: - Ending

extension Session {
  package func closed(_ connection: Connection, _ reason: CloseReason) {
    if reason != .finished && stage != .ended {
      proxy.logger.debug(
        "session ends early",
        metadata: [
          "side": connection === client ? "client" : "server", "reason": "\(reason)",
          "backend": "\(backend?.name, default: "?")",
        ])
      end()
    }
    sideIsGone(ofBackend: connection !== client)
  }

  /// Resets whatever is open.
  private func end() {
    stage = .ended
    client.abort()
    server?.abort()
    attempt?.abort()
  }

  private func sideIsGone(ofBackend: Bool) {
    if ofBackend { backend?.sessions.subtract(1, ordering: .relaxed) }
    openSides -= 1
    if openSides == 0 { proxy.sessionEnded() }
  }
}

import FDNet
import FDPoller

/// All that a server is told.
struct ServerSettings: Sendable {
  var agents: SocketAddress
  var routes: [Route]
  var authorization: Authorization
  var authorizeTimeout: Duration
  /// How long a yes holds.
  var authorizeMemory: Duration
  /// How long a client waits for its agent.
  var wait: Duration
  var heartbeat: Duration

  enum Authorization: Sendable {
    case tokenFile(String)
    case command(String)
    case url(TargetURL)
  }

  func authority(on loop: EventLoop) throws -> any Authority {
    switch authorization {
    case .tokenFile(let path): try TokenFile(path)
    case .command(let path): try AuthorisingCommand(path)
    case .url(let url): AuthorisingURL(url, on: loop)
    }
  }
}

/// Where clients connect, and what they get there.
struct Route: Sendable {
  let id: SessionID
  let service: SessionID
  let address: SocketAddress

  var name: String { service == .ordinary ? "\(id)" : "\(id)/\(service)" }
}

import FDHTTP
import FDNet
import FDPoller
import Logging

/// Where the proxy can be looked at and steered: a small server on the proxy's own loops, apart from
/// its clients.
///
/// Callable from any thread.
final class Admin: Sendable {
  let named: NamedAddress
  private let service: HTTPService
  let listeners: [Listener]

  /// Listens, and serves from then on. The poller is started.
  ///
  /// - Parameter takeover: where it has sockets for an address, these are gone on with.
  /// - Throws: `ListenError`.
  init(
    _ named: NamedAddress, of proxy: HTTPProxy, after takeover: Takeover? = nil
  ) throws(ListenError) {
    self.named = named
    let poller = proxy.poller
    let service = HTTPService(on: poller)
    self.service = service
    let settings = ConnectionSettings(writeDeadline: .seconds(30))
    listeners = try named.listen { (address) throws(ListenError) in
      try Listener(takeover, address, on: poller, settings: settings) { [weak proxy] connection in
        proxy.map { service.serve(connection, AdminHandler($0)) }
      }
    }
  }

  var addresses: [SocketAddress] { listeners.map(\.address) }

  /// Takes nobody any more; what is being answered comes to its end.
  func close() {
    for listener in listeners { listener.close() }
    service.drain()
  }
}

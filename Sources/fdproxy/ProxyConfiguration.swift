import FDNet

/// What a proxy is to do.
struct ProxyConfiguration: Sendable {
  var listen: [NamedAddress]
  var backends: [NamedAddress]
  var balance = Balance.roundRobin

  // Nil is for ever.

  var connectTimeout: Duration? = .seconds(5)
  /// A client neither sends nor takes anything while the proxy waits for it.
  var clientTimeout: Duration?
  /// The same of a backend.
  var serverTimeout: Duration?
  /// Nothing moves on either side.
  var idleTimeout: Duration? = .seconds(3600)
  /// How long sessions may go on once the proxy drains.
  var drainTime: Duration = .seconds(30)

  var sharing = Listener.Sharing.socketPerLoop
  /// Connections to keep open in advance, for each address of a backend.
  var spares = 0
  /// More clients at a time are turned away.
  var maximumSessions: Int?
}

/// An address as it was written, and what that means: several addresses if it is a host name.
struct NamedAddress: Sendable {
  let name: String
  /// At least one, the one to try first in front.
  let addresses: [SocketAddress]

  init(name: String, addresses: [SocketAddress]) {
    precondition(!addresses.isEmpty)
    self.name = name
    self.addresses = addresses
  }

  init(_ address: SocketAddress) { self.init(name: "\(address)", addresses: [address]) }
}

extension ProxyConfiguration {
  /// Of the connections that clients make.
  var clientSettings: ConnectionSettings { settings(clientTimeout) }
  /// Of the connections to backends.
  var serverSettings: ConnectionSettings { settings(serverTimeout) }

  /// What moves on one side of a session moves on the other, or waits for it; so a session rests if
  /// one of its sides that waits for its peer does.
  private func settings(_ timeout: Duration?) -> ConnectionSettings {
    ConnectionSettings(
      idleDeadline: [timeout, idleTimeout].compactMap { $0 }.min(), writeDeadline: timeout)
  }
}

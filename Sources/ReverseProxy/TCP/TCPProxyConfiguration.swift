package import FDNet

/// What a proxy of bytes is to do.
package struct TCPProxyConfiguration: Sendable {
  package var listen: [NamedAddress]
  package var backends: [NamedAddress]
  package var balance = Balance.roundRobin

  // Nil is for ever.

  package var connectTimeout: Duration? = .seconds(5)
  /// A client neither sends nor takes anything while the proxy waits for it.
  package var clientTimeout: Duration?
  /// The same of a backend.
  package var serverTimeout: Duration?
  /// Nothing moves on either side.
  package var idleTimeout: Duration? = .seconds(3600)
  /// How long sessions may go on once the proxy drains.
  package var drainTime: Duration = .seconds(30)

  package var sharing = Listener.Sharing.socketPerLoop
  /// Connections to keep open in advance, for each address of a backend.
  package var spares = 0
  /// More clients at a time are turned away.
  package var maximumSessions: Int?

  package init(listen: [NamedAddress], backends: [NamedAddress]) {
    self.listen = listen
    self.backends = backends
  }
}

extension TCPProxyConfiguration {
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

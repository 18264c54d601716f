public import FDNet
public import FDPoller

/// An HTTP/1.1 server at one address, on all loops of a poller.
///
/// Callable from any thread.
public final class HTTPServer: Sendable {
  /// What speaks HTTP on the connections that the listener accepts.
  public let service: HTTPService
  private let listener: Listener

  /// Listens, and serves from then on.
  ///
  /// - Parameters:
  ///   - address: port 0 lets the kernel choose.
  ///   - poller: started.
  ///   - settings: how clients are treated.
  ///   - connection: limits and deadlines of the connections; the write deadline says how long a
  ///     client may take nothing of an answer.
  ///   - makeHandler: called for each connection, on its loop.
  /// - Throws: `ListenError` with what the kernel refused.
  public init(
    _ address: SocketAddress, on poller: Poller,
    settings: HTTPServerSettings = HTTPServerSettings(),
    connection: ConnectionSettings = ConnectionSettings(writeDeadline: .seconds(30)),
    makeHandler: @escaping @Sendable () -> any HTTPRequestHandler
  ) throws(ListenError) {
    let service = HTTPService(on: poller, settings: settings)
    self.service = service
    listener = try Listener(address, on: poller, settings: connection) {
      service.serve($0, makeHandler())
    }
  }

  /// Where it listens, with the port that the kernel chose if none was asked for.
  public var address: SocketAddress { listener.address }

  /// Accepts nobody any more, and closes each connection as soon as no exchange is under way on it.
  public func drain() {
    listener.close()
    service.drain()
  }
}

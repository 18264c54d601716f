import FDPoller
import TestKit

@testable import FDNet

/// The handlers that a listener made, in order.
final class Server: @unchecked Sendable {
  private let made = Guarded<[(recorder: Recorder, loop: Int)]>([])
  private let make: @Sendable () -> Recorder

  /// - Parameter make: makes the handler of a connection.
  init(_ make: @escaping @Sendable () -> Recorder = { .echo() }) { self.make = make }

  /// For `Listener`: a new handler for each client.
  func makeHandler(_ connection: Connection) -> (any ConnectionHandler)? {
    let recorder = make()
    made.withLock { $0.append((recorder, connection.loop.index)) }
    return recorder
  }

  var recorders: [Recorder] { made.value.map(\.recorder) }
  /// The loops that have got a client.
  var loops: Set<Int> { Set(made.value.map(\.loop)) }
  var count: Int { made.withLock { $0.count } }
  var areAllClosed: Bool { recorders.allSatisfy(\.isClosed) }
}

/// A listener on a poller that serves the clients of a test, closed at the end of the body.
func withListener(
  _ address: SocketAddress, on poller: Poller, _ server: Server,
  sharing: Listener.Sharing = .socketPerLoop, settings: ConnectionSettings = ConnectionSettings(),
  _ body: (Listener) async throws -> Void
) async throws {
  let listener = try Listener(
    address, on: poller, sharing: sharing, settings: settings, makeHandler: server.makeHandler)
  do {
    try await body(listener)
  } catch {
    listener.close()
    throw error
  }
  listener.close()
}

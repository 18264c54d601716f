import FDCoordination
import FDNet
import FDPoller

/// Sends back what comes on each stream, each in a task of its own.
func serve(_ peer: MultiplexedConnection) async throws {
  try await withThrowingDiscardingTaskGroup { group in
    for try await stream in peer.streams {
      // If one of them fails the others go on.
      group.addTask { try? await echo(stream) }
    }
  }
}

func echo(_ stream: MultiplexedStream) async throws {
  while let message = try await stream.receive() { try await stream.send(message) }
  stream.finish()
}

/// Opens a stream, and sends and receives in two tasks.
func converse(with peer: MultiplexedConnection) async throws -> Int {
  let stream = try peer.open(Array("echo".utf8))
  async let sending: Void = {
    for _ in 0..<100 { try await stream.send(Array(repeating: 1, count: 10_000)) }
    stream.finish()
  }()
  var count = 0
  while let message = try await stream.receive() { count += message.count }
  try await sending
  return count
}

/// A client of a protocol with a question that the server answers, watched over.
final class Watched: ConnectionHandler {
  private var heartbeat = Heartbeat(HeartbeatSettings(interval: .seconds(5)), now: Watched.now)

  private static let beginning = ContinuousClock.now
  private static var now: UInt64 { UInt64(beginning.duration(to: .now) / .nanoseconds(1)) }

  func received(_ bytes: RawSpan, on connection: Connection) { heartbeat.heard(at: Self.now) }

  /// Every now and then, on the connection's loop.
  func look(after connection: Connection) {
    guard !connection.isClosing else { return }
    switch heartbeat.fire(at: Self.now) {
    case .wait: break
    case .probe(let number): connection.write("PING \(number)\n".utf8Span.span.bytes)
    case .dead: return connection.abort()
    }
    connection.loop.schedule(after: .milliseconds(100)) { self.look(after: connection) }
  }
}

try await withPoller(threads: 2) { poller in
  let settings = MultiplexedSettings(
    heartbeat: HeartbeatSettings(interval: .seconds(5), timeout: .seconds(5)))
  let listener = try Listener(
    .loopback(port: 0), on: poller, settings: MultiplexedConnection.connectionSettings
  ) { connection in
    let peer = MultiplexedConnection(connection, role: .server, settings: settings)
    Task { try? await serve(peer) }
    return peer.handler
  }
  let peer = try await MultiplexedConnection.connect(
    to: listener.address, on: poller.loops[0], settings: settings)
  print("\(try await converse(with: peer)) bytes came back")
  peer.close()
  listener.close()
}

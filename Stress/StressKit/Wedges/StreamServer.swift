import FDCoordination
import FDNet
import FDPoller

/// A server of multiplexed connections that echoes what comes on their streams, and clients'
/// connections to it. Streams with an opening are the wedge's own.
final class StreamServer: Sendable {
  typealias Special = @Sendable (_ opening: String, MultiplexedStream) async -> Void

  private let stage: WedgeStage
  private let settings: MultiplexedSettings
  private let special: Special
  private let listeners = Kept<[Listener]>([])
  private let ends = Kept<[MultiplexedConnection]>([])

  /// - Parameters:
  ///   - settings: of both sides.
  ///   - special: what is done with a stream that has an opening, in a task of its own.
  init(_ stage: WedgeStage, _ settings: MultiplexedSettings, special: @escaping Special) {
    self.stage = stage
    self.settings = settings
    self.special = special
  }

  /// - Returns: where it listens.
  func listen(_ address: SocketAddress) throws -> SocketAddress {
    let listener = try Listener(address, on: stage.server) { [self] connection in
      let end = MultiplexedConnection(connection, role: .server, settings: settings)
      Task(executorPreference: connection.loop) { try await self.serve(end) }
      return end.handler
    }
    listeners.withLock { $0.append(listener) }
    return listener.address
  }

  /// A client's connection, on a client's loop.
  func connect(_ address: SocketAddress, _ number: Int) async throws -> MultiplexedConnection {
    let end = try await MultiplexedConnection.connect(
      to: address, on: stage.clientLoop(number), settings: settings)
    ends.withLock { $0.append(end) }
    return end
  }

  private func serve(_ end: MultiplexedConnection) async throws {
    try await withThrowingDiscardingTaskGroup { group in
      for try await stream in end.streams {
        group.addTask { await self.serve(stream) }
      }
    }
  }

  private func serve(_ stream: MultiplexedStream) async {
    guard stream.opening.isEmpty else {
      return await special(String(decoding: stream.opening, as: UTF8.self), stream)
    }
    do {
      while let message = try await stream.receive() {
        try await stage.guarded { try await stream.send(message) }
      }
      stream.finish()
    } catch {
      // The client is told as well, and says so.
      stream.reset()
    }
  }

  /// Is one session that behaves: a stream of a connection.
  func visit(_ number: Int, _ end: MultiplexedConnection, _ pace: WedgePace) async throws {
    let stream = try end.open()
    let message = Array("message of session \(number)".utf8)
    try await pace.keep(number) { _ in
      try await stream.send(message)
      guard try await stream.receive() == message else {
        throw WedgeFailure("the echo is another message, or the stream has ended")
      }
    }
    stream.close()
  }

  /// Closes everything, and lets go of what knows this object.
  func end() {
    let (ends, listeners) = (self.ends.take(), self.listeners.take())
    for end in ends { end.close() }
    for listener in listeners { listener.close() }
  }
}

import FDAsync
import FDCoordination
import FDNet

/// Copies between a socket and a stream, in both directions, until both are over.
///
/// Who reads waits for who writes, so nothing piles up: an end of file on one side is one on the
/// other, and a reset a reset, whatever else either direction waits for.
enum Carrier {
  private enum Part {
    case direction
    case witness
  }

  /// On the connection's loop, by its task, inside `run`.
  ///
  /// - Throws: why one of them broke; both are reset then.
  nonisolated(nonsending) static func carry(
    _ connection: AsyncConnection, _ stream: MultiplexedStream
  ) async throws {
    try await withThrowingTaskGroup(of: Part.self) { group in
      group.addTask { try await inward(connection, stream) }
      group.addTask { try await outward(stream, connection) }
      group.addTask { try await watch(connection) }
      group.addTask { try await watch(stream) }
      do {
        var directions = 2
        while let part = try await group.next() {
          guard case .direction = part else { continue }
          directions -= 1
          // Both have said all: the socket goes, and the stream when it has delivered.
          if directions == 0 { connection.close() }
        }
      } catch {
        let isCancelled = error is CancellationError
        stream.reset(code: (isCancelled ? StreamReset.cutOff : .broken).rawValue)
        // Ends the wait for its end, which no cancellation ends.
        connection.abort()
        group.cancelAll()
        throw error
      }
    }
  }

  private nonisolated(nonsending) static func inward(
    _ connection: AsyncConnection, _ stream: MultiplexedStream
  ) async throws -> Part {
    while let bytes = try await connection.read({ $0.withUnsafeBytes { [UInt8]($0) } }) {
      try await stream.send(bytes)
    }
    stream.finish()
    return .direction
  }

  private nonisolated(nonsending) static func outward(
    _ stream: MultiplexedStream, _ connection: AsyncConnection
  ) async throws -> Part {
    while let bytes = try await stream.receivePart() {
      if connection.write(bytes) == .queuedAboveWatermark { try await connection.drained() }
    }
    connection.finishOutput()
    return .direction
  }

  private nonisolated(nonsending) static func watch(
    _ connection: AsyncConnection
  ) async throws -> Part {
    let reason = try await connection.closed()
    guard reason == .finished else { throw ConnectionClosed(reason: reason) }
    return .witness
  }

  private nonisolated(nonsending) static func watch(
    _ stream: MultiplexedStream
  ) async throws -> Part {
    if let error = try await stream.ended() { throw error }
    return .witness
  }
}

extension Carrier {
  /// What is held of a stream that is not read, in bytes: 1,000 of them are 250 MB at the worst.
  static let window = 128 << 10
  /// And what waits to be sent on it.
  static let sendBuffer = 64 << 10
  /// Little is held for each of many. A peer that reads slowly gets all of it, even at the end.
  static let connectionSettings = ConnectionSettings(
    highWatermark: 64 << 10, lowWatermark: 16 << 10, drainDeadline: .seconds(600))

  /// On the connection's loop.
  static func prepare(_ connection: AsyncConnection) {
    // One that has vanished is noticed by the kernel; one that reads slowly is none of those.
    try? connection.connection.setKeepAlive(
      KeepAlive(idle: .seconds(60), interval: .seconds(15), probes: 4, userTimeout: nil))
  }
}

/// One stream of messages, in both directions, on a `MultiplexedConnection`.
///
/// Sending and receiving know nothing of each other; each may be done by a task of its own, on any
/// executor. Messages arrive whole and in order, or are read in the parts that they come in, as a
/// stream of bytes. Who lets go of a stream that was not finished resets it.
public final class MultiplexedStream: Sendable {
  /// The stream's number on its connection: odd if the client has opened it.
  public let id: UInt32
  /// What its opener said that it is for.
  public let opening: [UInt8]
  /// The connection that carries it.
  public let connection: MultiplexedConnection

  private var core: MultiplexedCore { connection.core }

  init(_ id: UInt32, _ opening: [UInt8], _ connection: MultiplexedConnection) {
    self.id = id
    self.opening = opening
    self.connection = connection
  }

  deinit { core.perform { $0.release(id) } }

  // MARK: Sending

  /// Queues a message and returns, without copying it. If the stream's buffer is full it waits for
  /// room first, behind those that wait already.
  ///
  /// - Parameter message: at most `MultiplexedSettings.largestMessage` bytes; may be empty.
  /// - Throws: why nothing can be sent, `MultiplexedError.messageTooLarge`, or `CancellationError`
  ///   if the task was cancelled in the wait; the message is then not sent.
  nonisolated(nonsending) public func send(_ message: [UInt8]) async throws {
    switch core.perform({ $0.send(message, on: id, waits: true) }) {
    case .queued, .full: return
    case .waiting(let waiter): try await core.wait(for: waiter)
    case .failed(let error): throw error
    }
  }

  /// As `send(_:)`, of bytes that are copied once.
  nonisolated(nonsending) public func send(_ message: RawSpan) async throws {
    try await send(message.withUnsafeBytes { [UInt8]($0) })
  }

  /// As `send(_:)`, if there is room.
  ///
  /// - Returns: false if the stream's buffer is full; nothing has happened then.
  public func trySend(_ message: [UInt8]) throws(MultiplexedError) -> Bool {
    switch core.perform({ $0.send(message, on: id, waits: false) }) {
    case .queued: return true
    case .full, .waiting: return false
    case .failed(let error): throw error
    }
  }

  /// As `trySend(_:)`, of bytes that are copied once.
  public func trySend(_ message: RawSpan) throws(MultiplexedError) -> Bool {
    try trySend(message.withUnsafeBytes { [UInt8]($0) })
  }

  /// Says that no more messages come; what is queued still goes. Receiving goes on.
  public func finish() { core.perform { $0.finish(id) } }

  // MARK: Receiving

  /// Waits for the next message. One task at a time; a second one is a mistake that traps.
  ///
  /// - Returns: the message, or nil when the peer has finished and everything has been received.
  /// - Throws: why the stream or its connection is over, or `CancellationError`; a cancelled wait
  ///   loses nothing. What had come before the connection ended is received first.
  nonisolated(nonsending) public func receive() async throws -> [UInt8]? {
    try await receive(wholeMessage: true)
  }

  /// Waits for the next part of a message, as it has come: for who takes the stream as one of bytes,
  /// and wants them soon. At most 64 KiB, and empty only if the message is. Otherwise as
  /// `receive()`.
  nonisolated(nonsending) public func receivePart() async throws -> [UInt8]? {
    try await receive(wholeMessage: false)
  }

  nonisolated(nonsending) private func receive(wholeMessage: Bool) async throws -> [UInt8]? {
    while true {
      switch core.perform({ $0.receive(on: id, wholeMessage: wholeMessage) }) {
      case .found(.bytes(let bytes)): return bytes
      case .found(.parts(let parts)): return Self.join(parts)
      case .found(.end): return nil
      case .found(.failed(let error)): throw error
      case .found(.nothing): break
      case .waiting(let waiter): try await core.wait(for: waiter)
      }
    }
  }

  private static func join(_ parts: [[UInt8]]) -> [UInt8] {
    var message: [UInt8] = []
    message.reserveCapacity(parts.reduce(0) { $0 + $1.count })
    for part in parts { message += part }
    return message
  }

  // MARK: The end

  /// Waits until nothing is sent or received on the stream any more: for who has to know of a reset,
  /// or of the end of the connection, while he waits for something else.
  ///
  /// - Returns: nil if both sides have finished, and all that was queued here has gone out; or else
  ///   why the stream or its connection is over.
  /// - Throws: `CancellationError`.
  nonisolated(nonsending) public func ended() async throws -> MultiplexedError? {
    while true {
      switch core.perform({ $0.awaitEnd(of: id) }) {
      case .over(let error): return error
      case .waiting(let waiter): try await core.wait(for: waiter)
      }
    }
  }

  /// Ends both directions in order: what is queued still goes, what the peer sends from here on is
  /// for nobody, and it is told so. Returns at once.
  public func close() {
    core.perform {
      $0.finish(id)
      $0.stopListening(id)
    }
  }

  /// Ends both directions at once; what is queued on either side is lost. The peer's next call
  /// throws `MultiplexedError.resetByPeer` with the code.
  ///
  /// - Parameter code: the user's own; the two largest are this package's.
  public func reset(code: UInt32 = 0) { core.perform { $0.reset(id, code: code) } }
}

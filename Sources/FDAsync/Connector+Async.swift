public import FDNet
public import FDPoller

extension Connector {
  /// Connects to an address. Callable from any task.
  ///
  /// - Parameters:
  ///   - address: of the peer.
  ///   - loop: where the connection will run; nil is the calling task's, which has to be on one
  ///     then.
  ///   - deadline: how long connect(2) may take; nil leaves it to the kernel (tcp(7),
  ///     tcp_syn_retries).
  ///   - settings: of the connection.
  /// - Returns: the connection, open. `run` it, or close it in the end.
  /// - Throws: `ConnectError`; its cause is `cancelled` if the task is.
  public nonisolated(nonsending) static func connect(
    to address: SocketAddress, on loop: EventLoop? = nil, deadline: Duration?,
    settings: ConnectionSettings = ConnectionSettings()
  ) async throws(ConnectError) -> AsyncConnection {
    guard let loop = loop ?? EventLoop.current else {
      preconditionFailure("connect from a task on a loop, or say on which loop to connect")
    }
    // Its task will use both on this loop.
    let outer = loop.isCurrent ? TaskHome.current?.resident as? AsyncConnection : nil
    return try await AsyncConnection.pinning(outer) { () async throws(ConnectError) in
      try await Attempt.make(on: loop, to: address) { completion in
        Connector.connect(
          to: address, on: loop, deadline: deadline, settings: settings, completion)
      }
    }
  }
}

/// One attempt to connect, which the task that waits for it may give up. On its loop.
final class Attempt: @unchecked Sendable {
  typealias Outcome = Result<AsyncConnection, ConnectError>
  private var connection: Connection?
  private var isCancelled = false
  private var isOver = false

  /// - Parameter start: begins, on the loop, and returns what an abort ends.
  nonisolated(nonsending) static func make(
    on loop: EventLoop, to address: SocketAddress,
    _ start:
      @escaping @Sendable (@escaping (Result<Connection, ConnectError>) -> Void)
      -> Connection?
  ) async throws(ConnectError) -> AsyncConnection {
    let outcome =
      loop.isCurrent
      ? await Self.run(on: loop, to: address, start)
      : await loop.visit { await Self.run(on: loop, to: address, start) }
    return try outcome.get()
  }

  /// On the loop, or in its afterlife.
  private static func run(
    on loop: EventLoop, to address: SocketAddress, isolation: isolated (any Actor)? = #isolation,
    _ start:
      @escaping @Sendable (@escaping (Result<Connection, ConnectError>) -> Void)
      -> Connection?
  ) async -> Outcome {
    let attempt = Attempt()
    return await withTaskCancellationHandler {
      // Of an actor on the loop: only a closure that has it stays there.
      _ = isolation
      return await withUnsafeContinuation { continuation in
        attempt.begin(address, start) { continuation.resume(returning: $0) }
      }
    } onCancel: {
      Task(executorPreference: loop) { attempt.cancel() }
    }
  }

  private func begin(
    _ address: SocketAddress,
    _ start: (@escaping (Result<Connection, ConnectError>) -> Void) -> Connection?,
    _ completion: @escaping (Outcome) -> Void
  ) {
    guard !isCancelled, !Task.isCancelled else {
      return completion(.failure(ConnectError(address: address, cause: .cancelled)))
    }
    connection = start { result in
      self.isOver = true
      self.connection = nil
      // Its handler is known before it can get an event.
      completion(result.map { AsyncConnection($0) })
    }
    if isOver { connection = nil }
  }

  private func cancel() {
    isCancelled = true
    connection?.abort()
  }
}

public import FDNet
public import FDPoller

/// Many independent streams of messages on one connection. Both peers may open streams, and both
/// talk whenever they like: nothing that is sent ever waits for something to be received.
///
/// A stream that nobody reads stops its sender and no other stream. What is urgent goes before all
/// data, and streams that have data send a frame each in turn. What is held is bounded: see
/// `MultiplexedSettings`.
///
/// Callable from any thread and from any executor, except where it says otherwise. When the object
/// and all its streams are gone, the connection is closed.
public final class MultiplexedConnection: Sendable {
  /// Which side this is. The two peers have to differ.
  public enum Role: Sendable {
    /// By custom whoever has connected.
    case client
    /// By custom whoever has accepted.
    case server
  }

  let core: MultiplexedCore

  /// Takes over a connection that nothing has been read from or written to. On its loop.
  ///
  /// - Parameters:
  ///   - connection: used by nobody else from here on. Its watermarks say how much data is put
  ///     before something urgent; what `MultiplexedConnection.connectionSettings` says suits.
  ///   - role: the peer's is the other one.
  ///   - settings: of this side; the peer's may differ.
  public init(
    _ connection: Connection, role: Role, settings: MultiplexedSettings = MultiplexedSettings()
  ) {
    core = MultiplexedCore(connection, settings, isClient: role == .client)
    core.start()
  }

  deinit { core.close() }

  /// What a `Listener` is to be given for a connection that has been taken over.
  public var handler: any ConnectionHandler { core }

  /// Settings for the connection underneath: what is urgent waits for little.
  public static var connectionSettings: ConnectionSettings { .init() }

  /// Connects, and multiplexes the connection as a client.
  ///
  /// - Parameters:
  ///   - address: of the peer.
  ///   - loop: on which the connection runs; any thread may call.
  ///   - deadline: how long connect(2) may take.
  ///   - settings: of this side.
  ///   - connectionSettings: of the connection underneath.
  /// - Throws: `ConnectError`; its cause is `cancelled` if the task is.
  nonisolated(nonsending) public static func connect(
    to address: SocketAddress, on loop: EventLoop, deadline: Duration = .seconds(10),
    settings: MultiplexedSettings = MultiplexedSettings(),
    connectionSettings: ConnectionSettings = MultiplexedConnection.connectionSettings
  ) async throws -> MultiplexedConnection {
    let attempt = ConnectAttempt()
    await loop.visit {
      await withTaskCancellationHandler {
        await withUnsafeContinuation { continuation in
          attempt.begin(address, { continuation.resume() }) { completion in
            Connector.connect(
              to: address, on: loop, deadline: deadline, settings: connectionSettings
            ) {
              completion($0.map { MultiplexedConnection($0, role: .client, settings: settings) })
            }
          }
        }
      } onCancel: {
        Task(executorPreference: loop) { attempt.cancel() }
      }
    }
    return try attempt.take().get()
  }

  // MARK: Streams

  /// Opens a stream. Never waits: what is sent on it goes out when the peer allows.
  ///
  /// - Parameter opening: tells the peer what the stream is for; at most 4 KiB.
  /// - Throws: why the connection is over, `tooManyStreams`, or `openingTooLarge`.
  public func open(_ opening: [UInt8] = []) throws(MultiplexedError) -> MultiplexedStream {
    let result = core.perform { state in
      Result { () throws(MultiplexedError) in try state.open(opening) }
    }
    return MultiplexedStream(try result.get(), opening, self)
  }

  /// Waits for a stream that the peer opens. Several tasks may; each stream goes to one of them.
  ///
  /// - Returns: nil when the connection has been closed, by whichever side.
  /// - Throws: why the connection is over if nobody has closed it; `CancellationError`.
  nonisolated(nonsending) public func accept() async throws -> MultiplexedStream? {
    while true {
      var ending: MultiplexedError?
      var waiter: StreamWaiter?
      let next = core.perform { state in
        if let next = state.accept() { return next as (stream: UInt32, opening: [UInt8])? }
        ending = state.failure
        if ending == nil {
          let newcomer = StreamWaiter(.accepting)
          state.acceptors.append(newcomer)
          waiter = newcomer
        }
        return nil
      }
      if let next { return MultiplexedStream(next.stream, next.opening, self) }
      switch ending {
      case .closed, .closedByPeer: return nil
      case let error?: throw error
      case nil: break
      }
      if let waiter { try await core.wait(for: waiter) }
    }
  }

  /// The streams that the peer opens, as `accept` returns them.
  public var streams: Streams { Streams(connection: self) }

  /// The streams that the peer opens, until the connection is over.
  public struct Streams: AsyncSequence, Sendable {
    let connection: MultiplexedConnection

    /// A new iterator; each stream comes out of one.
    public func makeAsyncIterator() -> Iterator { Iterator(connection: connection) }

    /// Waits for streams, one after the other.
    public struct Iterator: AsyncIteratorProtocol {
      let connection: MultiplexedConnection

      /// As `MultiplexedConnection.accept`.
      nonisolated(nonsending) public mutating func next() async throws -> MultiplexedStream? {
        try await connection.accept()
      }

      /// As `MultiplexedConnection.accept`.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws -> MultiplexedStream? {
        try await connection.accept()
      }
    }
  }

  // MARK: The end

  /// Why the connection is over; nil while it is not. The first reason stays.
  public var error: MultiplexedError? { core.perform { $0.failure } }

  /// Waits until the connection is over.
  ///
  /// - Returns: why.
  /// - Throws: `CancellationError`.
  nonisolated(nonsending) public func ended() async throws -> MultiplexedError {
    while true {
      var waiter: StreamWaiter?
      let failure = core.perform { state in
        if state.failure == nil {
          let newcomer = StreamWaiter(.ending)
          state.mourners.append(newcomer)
          waiter = newcomer
        }
        return state.failure
      }
      if let failure { return failure }
      if let waiter { try await core.wait(for: waiter) }
    }
  }

  /// Closes the connection and all its streams. Returns at once, however stuck the peer is, and
  /// every wait ends with `MultiplexedError.closed`.
  ///
  /// What is queued goes out before the end as far as the peer has given credit and the socket
  /// takes it without a wait; the rest is lost. Who must know that all has arrived has the peer say
  /// so on a stream.
  public func close() { core.close() }

  // MARK: Its place

  /// Moves the connection to another loop of its poller. It must not be moved otherwise. Streams go
  /// on; what is sent meanwhile goes out from there.
  public func move(to loop: EventLoop) { core.post(.move(loop)) }

  /// How long the peer's last answer to a heartbeat took; nil before the first one.
  public var roundTrip: Duration? { core.perform { $0.roundTrip } }
}

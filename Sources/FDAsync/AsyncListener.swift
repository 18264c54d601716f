public import FDNet
public import FDPoller

/// Accepts connections at one address, for Swift tasks.
///
/// `serve(_:)` is the everyday form: every connection gets a task on the loop that has accepted it.
/// As an `AsyncSequence` a listener leaves it to its user to run them; then every client costs a
/// hop to the task that iterates.
///
/// While nobody takes connections, at most `AsyncListener.mostWaiting` are accepted ahead; the rest
/// waits in the kernel's queue. Callable from any thread.
public final class AsyncListener: Sendable {
  /// How many accepted connections wait for somebody who takes them before accepting pauses.
  public static let mostWaiting = 256

  /// The address, with the port that the kernel chose if none was asked for.
  public var address: SocketAddress { listener.address }
  /// The listener itself: for its counts, and for copies of its sockets. Close it or hand it over by
  /// this object's methods.
  public let listener: Listener
  let intake: Intake
  let poller: Poller
  /// Ends the waits for clients when the poller stops.
  private let watch: Task<Void, Never>

  /// Binds, listens, and accepts from then on.
  ///
  /// - Parameters:
  ///   - address: port 0 lets the kernel choose.
  ///   - poller: started.
  ///   - sharing: how the loops share the work.
  ///   - backlog: clients that wait to be accepted, per socket.
  ///   - settings: of the accepted connections.
  /// - Throws: `ListenError` with what the kernel refused.
  public init(
    _ address: SocketAddress, on poller: Poller, sharing: Listener.Sharing = .socketPerLoop,
    backlog: Int = 4096, settings: ConnectionSettings = ConnectionSettings()
  ) throws(ListenError) {
    let intake = Intake(loops: poller.loops.count)
    listener = try Listener(
      address, on: poller, sharing: sharing, backlog: backlog, settings: settings
    ) { connection in
      let subject = AsyncConnection(withoutEvents: connection)
      return intake.offer(subject, at: connection.loop.index) ? subject.events : nil
    }
    self.intake = intake
    self.poller = poller
    let loop = poller.loops[0]
    watch = Task {
      // Longer than anybody waits; a loop that stops ends it.
      try? await loop.sleep(for: .seconds(1 << 30))
      intake.close()
    }
    intake.whenFull { [weak listener] isFull in listener?.setAccepting(!isFull) }
  }

  deinit {
    watch.cancel()
    close()
    intake.abandon()
  }

  /// Stops listening: `serve` and iterations end when those who were accepted are taken.
  public func close() {
    listener.close { [intake] in intake.close() }
  }
}

extension AsyncListener {
  /// As `close()`, in favour of a successor that has adopted copies of the descriptors: see
  /// `Listener.handOver`.
  ///
  /// - Parameter completion: called once, on any thread, when nothing will be accepted any more.
  public func handOver(_ completion: @escaping @Sendable () -> Void = {}) {
    listener.handOver { [intake] in
      intake.close()
      completion()
    }
  }
}

// MARK: - One by one

extension AsyncListener: AsyncSequence {
  /// Waits for clients.
  public struct AsyncIterator: AsyncIteratorProtocol {
    fileprivate let listener: AsyncListener

    /// The next client's connection, to be `run`; nil when the listener is closed.
    ///
    /// - Throws: `CancellationError`.
    public nonisolated(nonsending) func next() async throws -> AsyncConnection? {
      try await listener.intake.next(at: nil)
    }
  }

  /// A client goes to one of the iterators, whoever waits first.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(listener: self) }
}

// MARK: - All of them

extension AsyncListener {
  /// Runs a task for every client, on the loop that has accepted it, until the listener is closed
  /// and all of them have ended. Callable from any task.
  ///
  /// Cancellation closes the listener, cancels every client's task, and resets the connections of
  /// those who have none yet. `close()` lets all of them finish.
  ///
  /// - Parameters:
  ///   - failed: told of the error that a client's body has thrown, on that client's loop; without
  ///     it errors end only the connection that they happened to.
  ///   - body: serves one client; the connection is closed when it returns, and reset if it throws.
  public nonisolated(nonsending) func serve(
    onFailure failed: @escaping @Sendable (AsyncConnection, any Error) -> Void = { _, _ in },
    _ body: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Void
  ) async {
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { pumps in
        for loop in poller.loops {
          pumps.addTask(executorPreference: loop) {
            await self.pump(loop, failed, body)
          }
        }
      }
    } onCancel: {
      close()
    }
    if Task.isCancelled { intake.abandon() }
  }

  /// Hands out the clients of one loop: the task groups of the loops share nothing.
  private func pump(
    _ loop: EventLoop, _ failed: @escaping @Sendable (AsyncConnection, any Error) -> Void,
    _ body: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Void
  ) async {
    await withDiscardingTaskGroup { clients in
      while let connection = try? await intake.next(at: loop.index) {
        clients.addTask(executorPreference: connection) {
          do {
            try await connection.run(body)
          } catch {
            failed(connection, error)
          }
        }
      }
    }
  }
}

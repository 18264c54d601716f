public import FDNet
import FDPoller

extension ConnectionPool {
  /// Lends the calling task a connection to an address: an idle one of its loop, or of another loop,
  /// which is taken over, or a new one. When the body returns the connection is offered to all loops
  /// again, unless something of it was left unread, or it is closing; if the body throws it is
  /// reset.
  ///
  /// The connection moves with the one whose task this is. Called by a task on one of the poller's
  /// loops.
  ///
  /// - Parameters:
  ///   - address: where it leads.
  ///   - isRepeatable: whether what is sent first may be sent again, see `ReusePolicy.safe`: the
  ///     peer may close an idle connection just when it is used.
  ///   - deadline: how long connect(2) may take; nil leaves it to the kernel.
  ///   - body: uses the connection, and lets go of it.
  /// - Returns: what the body returns.
  /// - Throws: `ConnectError`, or what the body throws.
  public nonisolated(nonsending) func withConnection<Result>(
    to address: SocketAddress, isRepeatable: Bool = true, deadline: Duration? = nil,
    _ body: nonisolated(nonsending) (AsyncConnection) async throws -> Result
  ) async throws -> Result {
    guard let loop = EventLoop.current else {
      preconditionFailure("a connection is borrowed by a task on a loop, as from `run`")
    }
    let borrower = TaskHome.current?.resident as? AsyncConnection
    // While the pool makes a connection its borrower stays where it is.
    let connection = try await AsyncConnection.pinning(borrower) {
      try await self.borrow(address, on: loop, isRepeatable, deadline)
    }
    connection.join(borrower)
    do {
      let result = try await body(connection)
      giveBack(connection)
      return result
    } catch {
      connection.leaveGroup()
      connection.abort()
      throw error
    }
  }

  private nonisolated(nonsending) func borrow(
    _ address: SocketAddress, on loop: EventLoop, _ isRepeatable: Bool, _ deadline: Duration?
  ) async throws(ConnectError) -> AsyncConnection {
    if mayReuse(isRepeatable), let idle = takeIdle(address, on: loop) {
      return AsyncConnection(idle)
    }
    return try await Attempt.make(on: loop, to: address) { completion in
      self.open(address, on: loop, deadline: deadline, completion)
    }
  }

  private func giveBack(_ connection: AsyncConnection) {
    connection.leaveGroup()
    if connection.isClean {
      checkIn(connection.connection)
    } else {
      connection.close()
    }
  }
}

extension AsyncConnection {
  /// Moves with another connection from here on, and its waits end with the same task.
  fileprivate func join(_ borrower: AsyncConnection?) {
    guard let borrower else {
      // A task of a loop stays there, and so does what it uses.
      pins += 1
      return
    }
    joinGroup(of: borrower)
    if borrower.isInScope { scope = borrower.scope }
  }

  /// Whether nothing of the last conversation is left.
  fileprivate var isClean: Bool {
    checkThread()
    return arrived.isEmpty && leftover.isEmpty && !inputHasEnded && closeReason == nil
      && !connection.isClosing
  }
}

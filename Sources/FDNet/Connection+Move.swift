import FDOwnership
public import FDPoller

/// What a move came to.
public enum MoveResult: Sendable, Equatable {
  case moved
  /// It is not open, or it is moving already; this call changes nothing.
  case refused
}

extension Connection {
  /// Moves the connection, with its buffers, timers and deadlines, to another loop of the poller.
  /// It goes when what runs now has returned. On the loop.
  ///
  /// Nothing but its handler may use it from here on until it has arrived, when the handler's
  /// `moved` is called. Whatever else refers to it on its present loop (a proxy's other side) has
  /// to move too, or let go.
  ///
  /// - Parameters:
  ///   - destination: a loop of the same poller; its own is allowed, and does nothing.
  ///   - completion: called with the result: on the new loop if it has moved, on the old one if
  ///     not.
  public func move(
    to destination: EventLoop, _ completion: @escaping @Sendable (MoveResult) -> Void = { _ in }
  ) {
    precondition(loop.isCurrent, "a connection is moved by its loop")
    precondition(destination.core === loop.core, "a connection moves within its poller")
    // Of two moves the second would find the connection on another loop.
    guard !isMoving else { return loop.defer { completion(.refused) } }
    isMoving = true
    // At once would be inside its handler, or in the midst of what its user does with it.
    loop.defer {
      // An attempt to connect that is ended to come to rest cannot be resumed.
      guard destination !== self.loop, self.phase == .open
      else { return self.goTo(destination, completion) }
      self.loop.quiet(self.handle) { self.goTo(destination, completion) }
    }
  }

  private func goTo(
    _ destination: EventLoop, _ completion: @escaping @Sendable (MoveResult) -> Void
  ) {
    guard phase == .open, destination !== loop else {
      isMoving = false
      loop.resume(handle)
      return completion(phase == .open ? .moved : .refused)
    }
    let origin = loop
    deadlines.cancel(on: origin)
    var interest: Interest = input == .reading ? .read : []
    if !output.isEmpty || outputState == .finishing { interest.insert(.write) }
    // Before it goes, because it is not this thread's to write afterwards; so whoever uses it here
    // all the same fails the assertion that it is used on its loop.
    loop = destination
    let result = origin.handOver(handle, to: destination, wanting: interest) { arrival in
      self.loop = arrival
      self.isMoving = false
      self.startDeadlines()
      self.handler?.moved(self)
      completion(arrival === destination ? .moved : .refused)
    }
    if result != .taken {
      loop = origin
      loop.resume(handle)
      isMoving = false
      startDeadlines()
      completion(.refused)
    }
  }
}

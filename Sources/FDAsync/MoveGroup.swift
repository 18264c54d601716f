import FDNet
public import FDPoller
import Synchronization

/// What came of an attempt to move a connection and its tasks.
public enum AsyncMoveResult: Sendable, Equatable {
  /// It is on the other loop, and so are its tasks.
  case moved
  /// Its task does not wait for input at the moment, or another move is under way: later, perhaps.
  case busy
  /// It is closed, or about to be.
  case closed
}

/// The connections that one task uses: they move together, or not at all. On their loop.
final class MoveGroup: @unchecked Sendable {
  var members: [AsyncConnection]

  init(_ members: [AsyncConnection]) { self.members = members }

  func remove(_ connection: AsyncConnection) {
    members.removeAll { $0 === connection }
    connection.group = nil
    // One alone needs no group, which would keep it for ever.
    guard members.count == 1 else { return }
    members[0].group = nil
    members = []
  }
}

extension AsyncConnection {
  /// Moves with another connection from here on, and so does what moves with this one. On the loop
  /// of both.
  func joinGroup(of other: AsyncConnection) {
    let group = other.group ?? MoveGroup([other])
    other.group = group
    guard self.group !== group else { return }
    let newcomers = self.group?.members ?? [self]
    group.members += newcomers
    for newcomer in newcomers { newcomer.group = group }
  }

  func leaveGroup() {
    group?.remove(self)
    scope = nil
  }

  /// Does something while a connection, if there is one, stays where it is. On its loop.
  nonisolated(nonsending) static func pinning<Result, Failure: Error>(
    _ connection: AsyncConnection?,
    _ body: nonisolated(nonsending) () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    connection?.pins += 1
    defer { connection?.pins -= 1 }
    return try await body()
  }

  /// Moves the connection to another loop, with all connections that its task uses and with its
  /// tasks, while they wait for input. Callable from any task; from its own, which is waiting then.
  ///
  /// What wakes the tasks meanwhile waits until all have arrived.
  ///
  /// - Parameter destination: a loop of the same poller.
  /// - Returns: see `AsyncMoveResult`.
  public nonisolated(nonsending) func move(to destination: EventLoop) async -> AsyncMoveResult {
    // Within one of its own jobs, so its task waits here.
    let isOwn = TaskHome.current === home
    return await withUnsafeContinuation { continuation in
      let begin: @Sendable () -> Void = {
        // Not within a piece of a task.
        self.home.loop.defer {
          self.begin(Move(of: self, to: destination, continuation), waitsForMove: isOwn)
        }
      }
      isOwn ? begin() : onHome(begin)
    }
  }

  private func begin(_ move: Move, waitsForMove: Bool) {
    guard home.isCurrent else {
      return onHome { self.home.loop.defer { self.begin(move, waitsForMove: waitsForMove) } }
    }
    if closeReason != nil || hasStayed || connection.isClosing {
      return move.continuation.resume(returning: .closed)
    }
    let members = group?.members ?? [self]
    let alive = members.filter { $0.closeReason == nil && !$0.hasStayed }
    let isWaiting = waitsForMove || members.contains { $0.reader != nil }
    let isBound = members.contains { $0.isMoving || $0.pins > 0 }
    guard isWaiting, !isBound, !alive.contains(where: \.connection.isClosing) else {
      return move.continuation.resume(returning: .busy)
    }
    if move.destination === home.loop { return move.continuation.resume(returning: .moved) }
    move.members = members
    move.pending.store(alive.count, ordering: .relaxed)
    for member in members {
      member.isMoving = true
      member.hasStayed = member.closeReason != nil || member.hasStayed
      member.home.depart(to: move.destination)
    }
    for member in alive {
      member.connection.move(to: move.destination) { result in
        // It has ended before it could go.
        if result == .refused { member.hasStayed = true }
        move.oneHasEnded()
      }
    }
  }

  /// All have arrived, or are dead. On the new loop.
  fileprivate func arrive() {
    isMoving = false
    home.arrive()
    if !leftover.isEmpty || inputHasEnded || closeReason != nil || scope?.isCancelled == true {
      wakeReader()
      if closeReason != nil { wakeWriter() }
    }
  }
}

/// A move under way.
private final class Move: @unchecked Sendable {
  let subject: AsyncConnection
  let destination: EventLoop
  let continuation: UnsafeContinuation<AsyncMoveResult, Never>
  /// Set before they go.
  var members: [AsyncConnection] = []
  let pending = Atomic(0)

  init(
    of subject: AsyncConnection, to destination: EventLoop,
    _ continuation: UnsafeContinuation<AsyncMoveResult, Never>
  ) {
    self.subject = subject
    self.destination = destination
    self.continuation = continuation
  }

  /// On the new loop if it has moved, otherwise on the old one.
  func oneHasEnded() {
    guard pending.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
    if destination.isCurrent {
      complete()
    } else if !destination.run({ self.complete() }), let member = members.first {
      // It has stopped, all its descriptors are gone, and tasks go on elsewhere.
      member.onHome { self.complete() }
    }
  }

  private func complete() {
    for member in members { member.arrive() }
    continuation.resume(returning: subject.hasStayed ? .closed : .moved)
  }
}

import CShims
import FDNet
import FDPoller

/// The task whose waits end together when it is cancelled: one handler for all of them, because a
/// handler for each costs more than the wait.
final class Scope {
  /// Compared, and never used: `UnsafeCurrentTask` would be retained for that.
  private let task = fdp_current_task()
  @exclusivity(unchecked) var isCancelled = false

  /// Whether the calling task is the one that has made this.
  @inline(__always)
  var isOfCurrentTask: Bool { task == fdp_current_task() }
}

extension AsyncConnection {
  /// Runs the body on the connection's loop, as the connection's task, and closes the connection at
  /// the end: in order if the body returns, or else by a reset, so that the peer does not take what
  /// it has got for all. Callable from any task.
  ///
  /// - Parameter body: gets this connection.
  /// - Returns: what the body returns, once the connection is gone.
  /// - Throws: what the body throws.
  @concurrent
  public func run<Result: Sendable>(
    _ body: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Result
  ) async throws -> Result {
    // A task of another connection uses both from here on; that one stays until they are together.
    let outer = TaskHome.current?.resident as? AsyncConnection
    outer?.pins += 1
    return try await withTaskExecutorPreference(self) {
      try await withTaskCancellationHandler {
        try await self.runInScope(outer, body)
      } onCancel: {
        self.onHome { self.cancel() }
      }
    }
  }

  // Concurrent, because only a call that is brings the task to the executor that it prefers now.
  @concurrent
  private func runInScope<Result: Sendable>(
    _ outer: AsyncConnection?,
    _ body: nonisolated(nonsending) @Sendable (AsyncConnection) async throws -> Result
  ) async throws -> Result {
    checkThread()
    precondition(scope == nil, "a connection is run once")
    scope = Scope()
    if let outer { join(outer) }
    if Task.isCancelled { cancel() }
    do {
      let result = try await body(self)
      close()
      // Who has no time for the body has none for the peer's last words either.
      if scope?.isCancelled == true { abort() }
      await end()
      return result
    } catch {
      if closeReason == nil { abort() }
      await end()
      throw error
    }
  }

  /// Moves with the connection whose task runs this one, if they are on the same loop.
  private func join(_ outer: AsyncConnection) {
    guard outer.home.isCurrent else { return outer.onHome { outer.pins -= 1 } }
    outer.pins -= 1
    if outer !== self { joinGroup(of: outer) }
  }

  /// Waits until the connection is gone, whatever happens to the task; its deadlines end it, or
  /// `cancel` does.
  private nonisolated(nonsending) func end() async {
    while closeReason == nil { await withUnsafeContinuation { mourners.append($0) } }
    leaveGroup()
  }

  /// Starts another task of the connection, which runs on its loop and follows it. `Task { }` does
  /// neither. It lives by itself: it may outlast `run`, and is not cancelled with it.
  ///
  /// - Parameter body: gets this connection.
  /// - Returns: the task.
  @discardableResult
  public func detach<Result: Sendable>(
    _ body: nonisolated(nonsending) @escaping @Sendable (AsyncConnection) async throws -> Result
  ) -> Task<Result, any Error> {
    Task(executorPreference: self) { try await body(self) }
  }
}

// MARK: - Cancellation

extension AsyncConnection {
  var isCancelled: Bool {
    if let scope, scope.isOfCurrentTask { scope.isCancelled } else { Task.isCancelled }
  }

  /// Whether the calling task is the one that `run` has given the connection.
  var isInScope: Bool { scope?.isOfCurrentTask ?? false }

  /// The task of the scope is cancelled: its waits end, on all connections that it uses.
  private func cancel() {
    scope?.isCancelled = true
    if isClosingInOrder && closeReason == nil { abort() }
    guard let group else { return wakeAll() }
    for member in group.members where member.scope === scope { member.wakeAll() }
  }

  private func wakeAll() {
    wakeReader()
    wakeWriter()
    wakeMourners()
  }

  /// Suspends a task that is not the scope's, until somebody wakes it or it is cancelled.
  func withCancellation(
    isolation: isolated (any Actor)? = #isolation,
    _ suspend: (UnsafeContinuation<Void, Never>) -> Void,
    wake: @escaping @Sendable (AsyncConnection) -> Void
  ) async {
    await withTaskCancellationHandler {
      // Of an actor on the loop: only a closure that has it stays there.
      _ = isolation
      if Task.isCancelled { return }
      await withUnsafeContinuation { suspend($0) }
    } onCancel: {
      onHome { wake(self) }
    }
  }
}

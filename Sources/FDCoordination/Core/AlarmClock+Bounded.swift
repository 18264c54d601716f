extension AlarmClock {
  /// Runs an operation in a task of its own, and waits for it no longer than the limit, whether or
  /// not it heeds cancellation.
  ///
  /// - Returns: nil if the limit has passed, or the calling task is cancelled.
  func bounded<Value: Sendable>(
    within limit: Duration, _ operation: @escaping @Sendable () async throws -> Value
  ) async -> Result<Value, any Error>? {
    let waiter = AsyncWaiter<Result<Value, any Error>?>()
    let work = Task.detached {
      waiter.offer(await Result(awaiting: operation))
    }
    let timer = Task.detached { [self] in
      do { try await pause(for: limit) } catch { return }
      waiter.offer(nil)
    }
    let outcome = await waiter.outcome(onCancel: { waiter.offer(nil) })
    timer.cancel()
    if outcome == nil { work.cancel() }
    return outcome
  }
}

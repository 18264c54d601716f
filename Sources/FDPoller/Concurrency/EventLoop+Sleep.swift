// Waiting for a time, in a task. A loop's timer costs no thread and no task of its own.

extension EventLoop {
  /// Suspends the calling task for a while, by a timer of this loop: not less than that, and usually
  /// within a millisecond of it. Callable from any task; one that runs on the loop pays least.
  ///
  /// - Parameter duration: from now on.
  /// - Throws: `CancellationError` as soon as the task is cancelled; `PollerError.notRunning` if the
  ///   loop stops first, or has.
  public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
    let due = Self.clock() + duration.wholeNanoseconds
    if isCurrent {
      try await sleep(until: due)
    } else {
      let result: Result<Void, any Error> = await visit {
        do { return .success(try await self.sleep(until: due)) } catch { return .failure(error) }
      }
      try result.get()
    }
  }

  /// On the loop, or in its afterlife.
  private func sleep(
    until due: UInt64, isolation: isolated (any Actor)? = #isolation
  ) async throws {
    let sleep = Sleep(until: due)
    try await withTaskCancellationHandler {
      // Of an actor on the loop: only a closure that has it stays there.
      _ = isolation
      try Task.checkCancellation()
      try await withUnsafeThrowingContinuation { continuation in
        sleep.continuation = continuation
        sleep.start(on: self)
      }
    } onCancel: {
      Task(executorPreference: self) { sleep.cancel(on: self) }
    }
  }
}

/// One suspended task and its timer. Everything but its making happens on the loop.
private final class Sleep: TimerTarget, @unchecked Sendable {
  /// Set before the first call, and nil once the task is resumed.
  var continuation: UnsafeContinuation<Void, any Error>?
  private let due: UInt64
  private var timer: TimerID?
  private var isCancelled = false

  init(until due: UInt64) { self.due = due }

  func start(on loop: EventLoop) {
    if isCancelled {
      finish(throwing: CancellationError())
    } else if loop.hasStopped {
      finish(throwing: PollerError.notRunning)
    } else {
      timer = loop.schedule(self, at: due)
    }
  }

  /// Comes before `start`, or after.
  func cancel(on loop: EventLoop) {
    isCancelled = true
    guard let timer else { return }
    loop.cancel(timer)
    self.timer = nil
    finish(throwing: CancellationError())
  }

  func timerFired(on loop: EventLoop) {
    timer = nil
    continuation.take()?.resume()
  }

  func timerDropped() { finish(throwing: PollerError.notRunning) }

  func finish(throwing error: any Error) {
    timer = nil
    continuation.take()?.resume(throwing: error)
  }
}

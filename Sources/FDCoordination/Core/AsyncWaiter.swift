import FDNet
import FDPoller

/// A task that waits. One wait, one outcome.
package final class AsyncWaiter<Outcome: Sendable>: Waiter, @unchecked Sendable {
  // As everywhere in these primitives the lock is a PlatformLock and no Synchronization.Mutex, which
  // ThreadSanitizer does not see. The outcome is read under the lock, and does not travel with the continuation:
  // nor does it see the order between a resumption and a task that had not suspended yet.
  private let lock = PlatformLock()
  private var result: Outcome?
  private var continuation: CheckedContinuation<Void, Never>?

  package init() {}

  package func resume(with outcome: Outcome) {
    let isFirst = offer(outcome)
    precondition(isFirst, "a wait ends once")
  }

  /// Ends the wait, unless it has ended already.
  ///
  /// - Returns: whether this has ended it.
  @discardableResult
  package func offer(_ outcome: Outcome) -> Bool {
    let (isFirst, waiting) = lock.withLock {
      guard result == nil else { return (false, CheckedContinuation<Void, Never>?.none) }
      result = outcome
      defer { continuation = nil }
      return (true, continuation)
    }
    waiting?.resume()
    return isFirst
  }

  /// Waits.
  ///
  /// - Parameter cancel: called, on any thread, when the task is cancelled or has been before. It
  ///   sees to it that the wait ends.
  nonisolated(nonsending) package func outcome(
    onCancel cancel: @escaping @Sendable () -> Void
  ) async -> Outcome {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = lock.withLock {
          if result == nil { self.continuation = continuation }
          return result != nil
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      cancel()
    }
    guard let result = lock.withLock({ result }) else {
      preconditionFailure("who is resumed has been told the outcome")
    }
    return result
  }
}

import FDNet
import FDPoller

/// The task of an execution, which may be cancelled before there is one.
package final class FlightTask: FlightHandle, @unchecked Sendable {
  private let lock = PlatformLock()
  private var task: Task<Void, Never>?
  private var isCancelled = false

  package init() {}

  package func cancel() {
    let task = lock.withLock {
      isCancelled = true
      defer { self.task = nil }
      return self.task
    }
    task?.cancel()
  }

  /// Holds the task, or cancels it if that has been asked for.
  package func hold(_ task: Task<Void, Never>) {
    let isTooLate = lock.withLock {
      if !isCancelled { self.task = task }
      return isCancelled
    }
    if isTooLate { task.cancel() }
  }
}

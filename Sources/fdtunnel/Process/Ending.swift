import FDPoller
import Glibc

/// What the main thread waits for while the loops work: the end, and how it came.
final class Ending: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  private let lock = PlatformLock()
  private var failure: Failure??

  init() { sem_init(semaphore, 0, 0) }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// The first call counts. Callable from any thread.
  ///
  /// - Parameter failure: nil if everything went as it should.
  func come(_ failure: Failure? = nil) {
    let isFirst = lock.withLock {
      guard self.failure == nil else { return false }
      self.failure = .some(failure)
      return true
    }
    if isFirst { sem_post(semaphore) }
  }

  /// Blocks. Called once.
  func wait() -> Failure? {
    // It fails for no other reason than a signal.
    while sem_wait(semaphore) != 0 {}
    return lock.withLock { failure ?? nil }
  }
}

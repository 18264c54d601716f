import Glibc

/// Lets one wait go on for each time that it is opened. `open` is callable from any thread.
final class Latch: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() { sem_init(semaphore, 0, 0) }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func open() { sem_post(semaphore) }

  /// Called by one thread.
  ///
  /// - Parameter limit: nil waits for ever.
  /// - Returns: false if it has not opened in that time.
  @discardableResult
  func wait(atMost limit: Duration?) -> Bool {
    guard let limit else {
      // It fails for no other reason than a signal.
      while sem_wait(semaphore) != 0 {}
      return true
    }
    let end = ContinuousClock.now + limit
    while sem_trywait(semaphore) != 0 {
      guard ContinuousClock.now < end else { return false }
      usleep(1_000)
    }
    return true
  }
}

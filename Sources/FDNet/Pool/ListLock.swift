import Synchronization

/// The lock of an idle list. Held for list operations and a takeover only: no I/O, no user code, no
/// wait.
package protocol ListLock: ~Copyable, Sendable {
  init()

  borrowing func withLock<Result>(_ body: () -> Result) -> Result

  /// - Returns: nil, without calling the body, if somebody holds the lock.
  borrowing func withLockIfAvailable<Result>(_ body: () -> Result) -> Result?
}

/// The lock that production uses.
package struct MutexLock: ~Copyable, ListLock {
  private let mutex = Mutex(())

  package init() {}

  package borrowing func withLock<Result>(_ body: () -> Result) -> Result {
    mutex.withLock { _ in body() }
  }

  package borrowing func withLockIfAvailable<Result>(_ body: () -> Result) -> Result? {
    mutex.withLockIfAvailable { _ in body() }
  }
}

package import FDPoller

/// The lock of an idle list. Held for list operations and a takeover only: no I/O, no user code, no
/// wait.
package protocol ListLock: ~Copyable, Sendable {
  init()

  borrowing func withLock<Result>(_ body: () -> Result) -> Result

  /// - Returns: nil, without calling the body, if somebody holds the lock.
  borrowing func withLockIfAvailable<Result>(_ body: () -> Result) -> Result?
}

extension PlatformLock: ListLock {}

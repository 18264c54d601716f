import FDNet
import FDPoller

/// A value under a lock. Callable from any thread.
///
/// Not `Synchronization.Mutex`, which ThreadSanitizer does not see.
final class Locked<Value>: @unchecked Sendable {
  private let lock = PlatformLock()
  @exclusivity(unchecked) private var value: Value

  init(_ value: sending Value) { self.value = value }

  /// - Parameter body: runs under the lock; it calls nobody who might want the same.
  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    lock.withLock { body(&value) }
  }
}

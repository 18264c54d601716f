import FDNet
import FDPoller

/// How many there are of each key. Callable from any thread.
final class KeyCounts: @unchecked Sendable {
  private let lock = PlatformLock()
  private var counts: [Int: Int] = [:]

  /// - Returns: how many there are now.
  @discardableResult
  func add(_ key: Int, _ amount: Int = 1) -> Int {
    lock.withLock {
      counts[key, default: 0] += amount
      return counts[key] ?? 0
    }
  }

  var total: Int { lock.withLock { counts.values.reduce(0, +) } }
}

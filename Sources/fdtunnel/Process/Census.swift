import FDPoller

/// Counts what is going on, and says when nothing is any more. Callable from any thread.
final class Census: @unchecked Sendable {
  private let lock = PlatformLock()
  private var present = 0
  private var whenEmpty: (@Sendable () -> Void)?
  private var isClosed = false

  var count: Int { lock.withLock { present } }

  /// - Parameter limit: how many there may be.
  /// - Returns: false if it is closed or full; then nothing has been counted.
  func enter(limit: Int = .max) -> Bool {
    lock.withLock {
      guard !isClosed, present < limit else { return false }
      present += 1
      return true
    }
  }

  func leave() {
    let action = lock.withLock {
      present -= 1
      return present == 0 ? whenEmpty : nil
    }
    action?()
  }

  /// Lets nobody in any more.
  ///
  /// - Parameter whenEmpty: called once when all have left; within this call if nobody is there.
  ///   Only the first closing counts.
  func close(_ whenEmpty: @escaping @Sendable () -> Void) {
    let isEmpty = lock.withLock {
      guard !isClosed else { return false }
      isClosed = true
      self.whenEmpty = whenEmpty
      return present == 0
    }
    if isEmpty { whenEmpty() }
  }
}

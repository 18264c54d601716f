package import Logging

/// Logs warnings, but few of many in the same second: a server that is down makes one for each
/// client. Callable from any thread.
package final class WarningLog: @unchecked Sendable {
  private static let warningsPerSecond = 10

  private let logger: Logger
  /// In nanoseconds.
  private let clock: @Sendable () -> UInt64
  private let lock = PlatformLock()
  // Guarded by the lock.
  private var second: UInt64 = 0
  private var count = 0
  private var leftOut = 0

  package init(_ logger: Logger, clock: @escaping @Sendable () -> UInt64 = { EventLoop.clock() }) {
    self.logger = logger
    self.clock = clock
  }

  /// Logs a warning unless there were enough in this second, and how many were left out before it.
  package func warn(_ text: Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata) {
    guard let leftOut = admit() else { return }
    logger.warning(text, metadata: metadata())
    if leftOut > 0 {
      logger.warning("earlier warnings were left out", metadata: ["count": "\(leftOut)"])
    }
  }

  /// - Returns: nil if it is one too many, otherwise how many were since the last one that was not.
  private func admit() -> Int? {
    let now = clock() / 1_000_000_000
    return lock.withLock {
      if now != second { (second, count) = (now, 0) }
      count += 1
      guard count <= Self.warningsPerSecond else {
        leftOut += 1
        return nil
      }
      defer { leftOut = 0 }
      return leftOut
    }
  }
}

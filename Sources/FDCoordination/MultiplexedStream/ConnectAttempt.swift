import FDNet
import FDPoller

/// One attempt to connect, which the task that waits for it may give up. On its loop, save for what
/// it came to: that is under a lock, see `StreamWaiter`, whose outcome is read back likewise.
final class ConnectAttempt: @unchecked Sendable {
  typealias Outcome = Result<MultiplexedConnection, ConnectError>
  private let lock = PlatformLock()
  private var outcome: Outcome?
  // The loop's alone.
  private var connection: Connection?
  private var isCancelled = false

  /// - Parameters:
  ///   - resume: called once, when there is an outcome.
  ///   - start: begins, tells the outcome later, and returns what an abort ends.
  func begin(
    _ address: SocketAddress, _ resume: @escaping () -> Void,
    _ start: (@escaping (Outcome) -> Void) -> Connection?
  ) {
    guard !isCancelled, !Task.isCancelled else {
      set(.failure(ConnectError(address: address, cause: .cancelled)))
      return resume()
    }
    connection = start { outcome in
      self.connection = nil
      self.set(outcome)
      resume()
    }
  }

  func cancel() {
    isCancelled = true
    connection?.abort()
  }

  private func set(_ outcome: Outcome) { lock.withLock { self.outcome = outcome } }

  /// After the resumption, once.
  func take() -> Outcome {
    lock.withLock {
      defer { outcome = nil }
      return outcome.unsafelyUnwrapped
    }
  }
}

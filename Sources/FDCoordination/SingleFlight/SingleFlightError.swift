/// Why there is no value. None of these means that the value is known to be nothing.
public enum SingleFlightError: Error, Sendable {
  /// The caller's deadline has passed.
  ///
  /// - Parameter isRunning: whether the execution had begun; otherwise it was backing off.
  case timedOut(key: String, waited: Duration, isRunning: Bool)
  /// The task that waited was cancelled.
  case cancelled(key: String, waited: Duration)
  /// The execution failed.
  case failed(key: String, cause: any Error)
  /// The execution took longer than the settings allow, and was cancelled.
  case tookTooLong(key: String, limit: Duration)
  /// So many executions of this key have been cancelled and have not returned.
  case stuck(key: String, executions: Int)
}

extension SingleFlightError: CustomStringConvertible {
  /// One line: which key, how long waited, why, and what to do.
  public var description: String {
    switch self {
    case .timedOut(let key, let waited, let isRunning):
      "no value for \(key) after \(waited.brief): "
        + (isRunning
          ? "its execution has not finished; see what it waits for, or wait longer"
          : "it backs off after failures; try again later, or wait longer")
    case .cancelled(let key, let waited):
      "the wait for the value of \(key) was cancelled after \(waited.brief)"
    case .failed(let key, let cause):
      "no value for \(key): \(cause)"
    case .tookTooLong(let key, let limit):
      "no value for \(key): its execution was cancelled after \(limit.brief), the most that the "
        + "settings allow; see what it waits for"
    case .stuck(let key, let executions):
      "no value for \(key): \(executions) executions have been cancelled and have not returned; "
        + "let the function end when its task is cancelled"
    }
  }
}

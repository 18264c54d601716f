/// Why there is no resource, or a cache has not come to its end.
public enum ResourceCacheError: Error, Sendable {
  /// The caller's deadline has passed.
  ///
  /// - Parameter isStopping: whether the instance before has not stopped; otherwise the start has
  ///   not finished.
  case timedOut(key: String, waited: Duration, isStopping: Bool)
  /// The task that waited was cancelled.
  case cancelled(key: String, waited: Duration)
  /// The start failed.
  case failed(key: String, cause: any Error)
  /// The cache has been shut down.
  ///
  /// - Parameter waited: for how long until then; zero if it was shut down before.
  case shutDown(key: String, waited: Duration)
  /// `shutDown(deadline:)` has waited until its deadline, or was cancelled. It is shut down all the
  /// same: what is left ends when it can.
  case notEnded(waited: Duration, left: ResourceCacheCount)
}

extension ResourceCacheError: CustomStringConvertible {
  /// One line: which key, how long waited, why, and what to do.
  public var description: String {
    switch self {
    case .timedOut(let key, let waited, let isStopping):
      "no resource \(key) after \(waited.brief): "
        + (isStopping
          ? "the one before has not stopped; see what its stop waits for"
          : "its start has not finished; see what that waits for, or wait longer")
    case .cancelled(let key, let waited):
      "the wait for resource \(key) was cancelled after \(waited.brief)"
    case .failed(let key, let cause):
      "no resource \(key): its start failed: \(cause)"
    case .shutDown(let key, let waited):
      "no resource \(key): the cache was shut down"
        + (waited > .zero ? ", after a wait of \(waited.brief)" : "; make no more calls")
    case .notEnded(let waited, let left):
      "after \(waited.brief) the cache has not come to its end: \(left.starting) starts, "
        + "\(left.leases) leases and \(left.stopping) stops are left; see what they wait for"
    }
  }
}

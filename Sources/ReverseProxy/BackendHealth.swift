import FDPoller
package import Synchronization

/// Whether a backend is worth a try: what its health checks say, and what its clients have seen of
/// it. Callable from any thread.
package final class BackendHealth: Sendable {
  private let isUp = Atomic(true)
  /// Failures since the last success.
  private let failures = Atomic(0)
  /// On CLOCK_MONOTONIC, in nanoseconds.
  private let ejectedUntil = Atomic<UInt64>(0)
  /// How often it was left out.
  package let ejections = Atomic(0)

  /// What the health checks say last.
  package func note(isUp up: Bool) {
    isUp.store(up, ordering: .relaxed)
    if up { ejectedUntil.store(0, ordering: .relaxed) }
  }

  /// A request has been answered.
  @inline(__always)
  package func noteSuccess() {
    if failures.load(ordering: .relaxed) != 0 { failures.store(0, ordering: .relaxed) }
  }

  /// A connection or a request has failed.
  ///
  /// - Parameters:
  ///   - limit: after so many in a row it is left out; 0 is never.
  ///   - time: for so long, in nanoseconds.
  /// - Returns: whether it is left out from now on.
  package func noteFailure(ejectingAfter limit: Int, for time: UInt64) -> Bool {
    let count = failures.add(1, ordering: .relaxed).newValue
    guard limit > 0, count >= limit else { return false }
    failures.store(0, ordering: .relaxed)
    ejectedUntil.store(EventLoop.clock() &+ time, ordering: .relaxed)
    ejections.add(1, ordering: .relaxed)
    return true
  }

  /// What its health checks say last: true without any.
  package var isWell: Bool { isUp.load(ordering: .relaxed) }

  /// Whether it is left out because of its failures.
  package func isEjected(at now: UInt64) -> Bool { ejectedUntil.load(ordering: .relaxed) > now }
}

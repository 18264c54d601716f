import Glibc
import Synchronization

/// Lets a few events per second through and counts the rest. Callable from any thread.
final class Throttle: Sendable {
  private struct State {
    var second = 0
    var count = 0
    var suppressed = 0
  }

  private let state = Mutex(State())
  private static let eventsPerSecond = 10

  /// - Returns: nil if the event is one too many, otherwise how many were since the last one that
  ///   was not.
  func admit() -> Int? {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    let second = now.tv_sec
    return state.withLock { state in
      if state.second != second { (state.second, state.count) = (second, 0) }
      state.count += 1
      guard state.count <= Self.eventsPerSecond else {
        state.suppressed += 1
        return nil
      }
      defer { state.suppressed = 0 }
      return state.suppressed
    }
  }
}

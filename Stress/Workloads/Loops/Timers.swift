import FDPoller

/// A timer that is set and cancelled again, as deadlines are.
final class Timers: Repetitions, @unchecked Sendable {
  private final class Target: TimerTarget {
    func timerFired(on loop: EventLoop) { preconditionFailure("an hour is not over") }
  }

  private let loops: Loops
  private let target: any TimerTarget = Target()

  private static let second: UInt64 = 1_000_000_000

  /// - Parameter others: how many other timers are set. They expire in the course of an hour, none
  ///   of them soon.
  init(others: Int) throws {
    loops = try Loops()
    let loop = loops.first
    let step = 3_600 * Self.second / UInt64(max(1, others))
    loops.on(loop) { [self] in
      let start = loop.tickTime + 3_600 * Self.second
      for index in 0..<UInt64(others) {
        _ = loop.schedule(target, at: start + index * step)
      }
    }
  }

  func run(_ count: Int) -> Duration {
    let loop = loops.first
    return loops.on(loop) { [self] in
      // In the midst of the others, so that it is never alone in its bucket, unless it is alone.
      let due = loop.tickTime + 5_400 * Self.second
      return timed { setAndCancel(target, loop, due, count) }
    }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_timer")
@inline(never)
func setAndCancel(_ target: any TimerTarget, _ loop: EventLoop, _ due: UInt64, _ count: Int) {
  for _ in 0..<count { loop.cancel(loop.schedule(target, at: due)) }
}

import FDPoller

/// What a loop posts to itself, read in one go.
final class PostOwn: Repetitions {
  private let loops: Loops

  init() throws { loops = try Loops() }

  func run(_ count: Int) -> Duration {
    let loop = loops.first
    return loops.on(loop) { timed { postToItself(loop, count) } }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_post_own")
@inline(never)
func postToItself(_ loop: EventLoop, _ count: Int) {
  for _ in 0..<count { loop.run {} }
  loop.tickWithoutWaiting()
}

/// What is posted to a loop that sleeps. It sleeps indeed, as far as its mailbox is concerned: the
/// tick that is over has said so before it waited, and only the next one takes that back.
final class PostWake: Repetitions {
  private let loops: Loops

  init() throws { loops = try Loops() }

  func run(_ count: Int) -> Duration {
    let loop = loops.first
    return loops.on(loop) {
      // It falls asleep, wakes for the timer and once more for the closure.
      loop.schedule(after: .milliseconds(1)) {}
      loop.tick()
      postAndWakeOnce(loop)
      return timed { postAndWake(loop, count) }
    }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_post_wake")
@inline(never)
func postAndWake(_ loop: EventLoop, _ count: Int) {
  for _ in 0..<count { postAndWakeOnce(loop) }
}

@inline(__always)
private func postAndWakeOnce(_ loop: EventLoop) {
  loop.run {}
  loop.tick()
}

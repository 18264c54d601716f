import Dispatch
import FDPoller

/// Two loops that wake each other in turn.
final class PostAcross: Repetitions {
  private let loops: Loops

  init() throws { loops = try Loops(2) }

  func run(_ count: Int) -> Duration {
    let rally = Rally(loops.poller.loops[0], loops.poller.loops[1], count)
    return timed { postAcross(rally) }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_post_across")
@inline(never)
func postAcross(_ rally: Rally) {
  rally.pass()
  rally.isOver.wait()
}

/// A count that goes to and fro. The loop that has been posted to is alone with it.
final class Rally: @unchecked Sendable {
  private let loops: (EventLoop, EventLoop)
  private var left: Int
  fileprivate let isOver = DispatchSemaphore(value: 0)

  init(_ first: EventLoop, _ second: EventLoop, _ count: Int) {
    loops = (first, second)
    left = count
  }

  func pass() {
    let next = left & 1 == 0 ? loops.0 : loops.1
    next.run { [self] in
      left -= 1
      if left == 0 { isOver.signal() } else { pass() }
    }
  }
}

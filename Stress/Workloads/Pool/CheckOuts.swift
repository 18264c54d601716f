import Dispatch
import FDNet
import FDPoller

/// A connection that its own loop checks out and in.
final class LocalCheckOut: Repetitions {
  private let idle: IdleConnections

  init() throws { idle = try IdleConnections(1, loops: Loops()) }

  func run(_ count: Int) -> Duration {
    let (idle, loop) = (idle, idle.loops.first)
    return idle.loops.on(loop) { timed { checkOutLocally(idle, loop, count) } }
  }

  func end() { idle.loops.end() }
}

@_silgen_name("workload_pool_local")
@inline(never)
func checkOutLocally(_ idle: IdleConnections, _ loop: EventLoop, _ count: Int) {
  for _ in 0..<count {
    guard let connection = idle.pool.takeIdle(idle.address, on: loop) else {
      preconditionFailure("there is an idle one")
    }
    idle.pool.checkIn(connection)
  }
}

/// Connections that are idle on one loop and checked out on another.
final class StolenCheckOut: Repetitions {
  private let idle: IdleConnections

  init() throws { idle = try IdleConnections(Workload.mostAtOnce, loops: Loops(2)) }

  /// All of them are idle on the second loop.
  func prepare(_ count: Int) {
    let (idle, owner) = (idle, idle.loops.poller.loops[1])
    idle.loops.on(owner) {
      idle.take(Workload.mostAtOnce, on: owner)
      idle.checkIn()
    }
    // The first loop reads that they are gone.
    idle.loops.on(idle.loops.first) {}
  }

  func run(_ count: Int) -> Duration {
    let (idle, thief, owner) = (idle, idle.loops.first, idle.loops.poller.loops[1])
    let (isBusy, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    // The owner is awake and reads its mail later, so nobody wakes it.
    owner.run {
      isBusy.signal()
      mayGoOn.wait()
    }
    isBusy.wait()
    defer { mayGoOn.signal() }
    return idle.loops.on(thief) {
      let time = timed { checkOutElsewhere(idle, thief, count) }
      idle.checkIn()
      return time
    }
  }

  func end() { idle.loops.end() }
}

@_silgen_name("workload_pool_stolen")
@inline(never)
func checkOutElsewhere(_ idle: IdleConnections, _ loop: EventLoop, _ count: Int) {
  idle.take(count, on: loop)
  // The kernel learns of them.
  loop.tickWithoutWaiting()
}

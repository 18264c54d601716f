import FDNet
import FDPoller

/// Sends back what comes, among many timers: each message cancels one and adds another.
final class TimedEcho: ConnectionHandler {
  private let timers: PendingTimers

  init(_ timers: PendingTimers) { self.timers = timers }

  func received(_ bytes: RawSpan, on connection: Connection) {
    timers.replaceOne(on: connection.loop)
    if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
  }

  func drained(_ connection: Connection) { connection.resumeReading() }

  static func server(
    at address: SocketAddress, timers count: Int, on poller: Poller
  ) throws(ListenError) -> Listener {
    let timers = poller.loops.map { loop in
      let timers = PendingTimers()
      loop.run { timers.add(count, on: loop) }
      return timers
    }
    return try Listener(address, on: poller) { TimedEcho(timers[$0.loop.index]) }
  }
}

/// The timers of a loop, each due in one to two hours. Used on the loop only.
final class PendingTimers: @unchecked Sendable {
  private var timers: [TimerID] = []
  private var turn = 0

  func add(_ count: Int, on loop: EventLoop) {
    timers.reserveCapacity(count)
    for _ in 0..<count { timers.append(schedule(on: loop)) }
  }

  func replaceOne(on loop: EventLoop) {
    let index = turn % timers.count
    loop.cancel(timers[index])
    timers[index] = schedule(on: loop)
  }

  private func schedule(on loop: EventLoop) -> TimerID {
    turn += 1
    return loop.schedule(after: .milliseconds(3_600_000 + turn * 7_919 % 3_600_000)) {}
  }
}

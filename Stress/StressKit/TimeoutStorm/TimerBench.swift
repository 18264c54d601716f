import FDPoller

/// Timers of one loop, many of them cancelled when they are about to be called. On the loop.
final class TimerBench: @unchecked Sendable {
  private let loop: EventLoop
  private unowned let clockwork: Clockwork
  private let heartbeat: Heartbeat
  private var timers: [BenchTimer] = []

  private static let timersPerStep = 8
  private static let mostTimers = 200

  /// Plain: nobody but the loop touches it.
  private final class BenchTimer {
    enum State {
      case waiting
      case called
      case cancelled
    }

    let due: UInt64
    var id: TimerID?
    var state = State.waiting

    init(due: UInt64) { self.due = due }
  }

  init(_ loop: EventLoop, _ clockwork: Clockwork) {
    self.loop = loop
    self.clockwork = clockwork
    heartbeat = clockwork.stage.heartbeat(loop.name)
  }

  private func random() -> UInt64 { clockwork.randoms.next(on: loop) }

  /// Sets a few timers, cancels a few, and comes back for more until the storm is over.
  func step() {
    guard clockwork.stage.isStormy else {
      timers = []
      return
    }
    heartbeat.beat()
    clockwork.operations.add(Self.timersPerStep)
    for _ in 0..<Self.timersPerStep {
      set()
      if random() % 2 == 0 { cancelAny() }
    }
    while timers.count > Self.mostTimers { timers.remove(at: anyIndex) }
    loop.schedule(after: .microseconds(random() % 2_000)) { [self] in step() }
  }

  private func set() {
    let delay = Duration.microseconds(random() % 20_000)
    clockwork.timers.open()
    let timer = BenchTimer(due: EventLoop.clock() + delay.wholeNanoseconds)
    timer.id = loop.schedule(after: delay) { [self] in call(timer) }
    timers.append(timer)
  }

  private func call(_ timer: BenchTimer) {
    let now = EventLoop.clock()
    if now < timer.due {
      clockwork.stage.violate(
        "no timer is early", "by \((timer.due - now) / 1_000) us on \(loop.name)")
    }
    if timer.state != .waiting {
      clockwork.stage.violate("a timer is called or cancelled, once", "called when \(timer.state)")
    }
    timer.state = .called
    clockwork.timers.close()
    if random() % 8 == 0 { cancelAny() }
    if random() % 8 == 0 { cancel(timer) }
  }

  private func cancelAny() {
    if !timers.isEmpty { cancel(timers[anyIndex]) }
  }

  private var anyIndex: Int { Int(random() % UInt64(timers.count)) }

  private func cancel(_ timer: BenchTimer) {
    guard let id = timer.id else { return }
    let isCancelled = loop.cancel(id)
    if isCancelled != (timer.state == .waiting) {
      clockwork.stage.violate(
        "a cancellation says whether it came in time", "\(isCancelled) when \(timer.state)")
    }
    guard isCancelled else { return }
    timer.state = .cancelled
    clockwork.timers.close()
  }
}

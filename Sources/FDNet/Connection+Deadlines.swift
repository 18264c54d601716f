package import FDPoller

/// When a connection was last active, and the one timer that looks whether that is too long ago.
///
/// Activity only stores a time, so that it costs nothing; the timer finds out how much is left and
/// sleeps on.
struct Deadlines {
  var lastInput: UInt64 = 0
  var lastOutput: UInt64 = 0
  var closeBegan: UInt64 = 0
  /// Until when connect(2) may take; 0 is for ever.
  var connectDue: UInt64 = 0
  private var timer: TimerID?
  private var timerDue = UInt64.max

  mutating func schedule(_ connection: Connection, at due: UInt64) {
    guard due < timerDue else { return }
    cancel(on: connection.loop)
    timer = connection.loop.schedule(connection, at: due)
    timerDue = due
  }

  mutating func cancel(on loop: EventLoop) {
    if let timer { loop.cancel(timer) }
    hasFired()
  }

  mutating func hasFired() {
    timer = nil
    timerDue = .max
  }
}

extension Connection: TimerTarget {
  /// The next deadline and when it is due, of those that apply now.
  private var nextDeadline: (deadline: ConnectionDeadline?, due: UInt64)? {
    let limits = settings.nanoseconds
    var next: (deadline: ConnectionDeadline?, due: UInt64)?
    func consider(_ deadline: ConnectionDeadline?, _ due: UInt64) {
      if due < next?.due ?? .max { next = (deadline, due) }
    }
    switch phase {
    case .connecting:
      if deadlines.connectDue != 0 { consider(nil, deadlines.connectDue) }
    case .open:
      // Where nothing is asked of the peer, its silence says nothing about it.
      let hasOutput = hasOutput
      if limits.idle != 0 && (awaitsInput || hasOutput) {
        consider(.idle, max(deadlines.lastInput, deadlines.lastOutput) + limits.idle)
      }
      if limits.read != 0 && awaitsInput {
        consider(.read, deadlines.lastInput + limits.read)
      }
      if limits.write != 0 && hasOutput {
        consider(.write, deadlines.lastOutput + limits.write)
      }
      if outputError != nil { consider(.drain, deadlines.closeBegan + limits.drain) }
    case .closing:
      // As long as the peer takes what is queued, the close goes on.
      consider(.drain, max(deadlines.closeBegan, deadlines.lastOutput) + limits.drain)
    case .parked, .closed:
      break
    }
    return next
  }

  /// Sets the timer if a deadline applies that is due before it.
  func startDeadlines() {
    if let next = nextDeadline { deadlines.schedule(self, at: next.due) }
  }

  package func timerFired(on loop: EventLoop) {
    deadlines.hasFired()
    guard let next = nextDeadline else { return }
    guard next.due <= loop.tickTime else { return startDeadlines() }
    if let outputError {
      end(.failed(outputError))
    } else if let deadline = next.deadline {
      // What the peer has not got is lost, and must not look as if it had been all.
      if hasOutput { endByReset() }
      end(.timedOut(deadline))
    } else {
      companion?.timedOut(self)
    }
  }
}

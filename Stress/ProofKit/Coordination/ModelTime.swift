import FDCoordination
import Interleave

// What the coordination primitives wait with, for the explorer: their states and cores run from the
// production source, their async faces do not run here.

/// Who waits. Each waits once, and is made while the scenario is set up.
final class ModelWaiter<Outcome: Sendable>: Waiter, @unchecked Sendable {
  private let setup: Setup
  private let parker: ModelParker
  private let wakeUps: Monitor<Int>
  private let outcome: Cell<Outcome?>

  init(_ setup: Setup, named name: String) {
    self.setup = setup
    parker = ModelParker(named: "the wait of \(name)")
    wakeUps = Monitor(0, named: "the wake-ups of \(name)")
    outcome = Cell(nil, named: "what \(name) is told")
  }

  func resume(with outcome: Outcome) {
    let count: Int = wakeUps.update { count in
      count += 1
      return count
    }
    setup.require(count == 1, "a wait ends twice")
    self.outcome.value = outcome
    parker.unpark()
  }

  /// Waits. Nobody who wakes it is a deadlock.
  func wait() -> Outcome? {
    parker.park()
    return outcome.value
  }
}

/// Time is early or late. What is asked for while it is early is due when it is late.
final class ModelTime: Timekeeper, @unchecked Sendable {
  private struct State: Hashable {
    var isLate = false
    /// A ring has been asked for and has not come.
    var isAsked = false
    /// Threads that may still ask.
    var others: Int
  }

  static let early = Moment.beginning
  static let due = Moment.beginning + .seconds(5)
  static let late = Moment.beginning + .seconds(9)

  private let setup: Setup
  private let state: Monitor<State>

  /// - Parameter others: how many threads call `done()` at their ends.
  init(_ setup: Setup, others: Int) {
    self.setup = setup
    state = Monitor(State(others: others), named: "the timer")
  }

  var now: Moment { state.update { $0.isLate } ? Self.late : Self.early }

  func wake(at moment: Moment) {
    // What is due even later is not part of the scenario.
    if moment <= Self.late { state.update { $0.isAsked = true } }
  }

  func done() { state.update { $0.others -= 1 } }

  /// What the timer's thread does: it rings when it is asked to, at any time after that, and ends
  /// when nobody is left to ask. A wait whose deadline nobody has asked for is part of a deadlock.
  func run(_ ring: () -> Void) {
    while true {
      let (mustRing, isOver) = look()
      if mustRing { ring() } else if isOver { return } else { setup.spin() }
    }
  }

  private func look() -> (mustRing: Bool, isOver: Bool) {
    let found: Int = state.update { state in
      guard state.isAsked else { return state.others == 0 ? 1 : 0 }
      state.isAsked = false
      state.isLate = true
      return 2
    }
    return (found == 2, found == 1)
  }
}

/// How one thread tells another which wait it may cancel.
final class TicketSlot {
  private let setup: Setup
  /// 0 before it is known, 1 if there is nothing to cancel.
  private let number: Monitor<UInt64>

  init(_ setup: Setup, named name: String) {
    self.setup = setup
    number = Monitor(0, named: "the ticket of \(name)")
  }

  func tell(_ ticket: Ticket?) {
    number.update { $0 = ticket.map { $0.number + 2 } ?? 1 }
  }

  /// Waits until it is known.
  func look() -> Ticket? {
    while true {
      let found: UInt64 = number.update { $0 }
      if found == 1 { return nil }
      if found > 1 { return Ticket(number: found - 2) }
      setup.spin()
    }
  }
}

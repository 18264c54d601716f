import FDCoordination
import TestKit

/// Counts how often it is woken, and remembers what for.
final class CountingWaiter<Outcome: Sendable>: Waiter, Sendable {
  private let outcomes = Guarded<[Outcome]>([])

  var wakeUps: Int { outcomes.withLock { $0.count } }
  var outcome: Outcome? { outcomes.withLock { $0.first } }

  func resume(with outcome: Outcome) { outcomes.withLock { $0.append(outcome) } }
}

/// Time that a test sets, and nobody who rings.
final class StillTime: Timekeeper, Sendable {
  private let moment = Guarded(Moment.beginning)
  private let asked = Guarded<Moment?>(nil)

  var now: Moment {
    get { moment.value }
    set { moment.value = newValue }
  }

  /// The earliest ring that anybody has asked for.
  var wakeUp: Moment? { asked.value }

  func wake(at moment: Moment) {
    asked.withLock { asked in asked = min(asked ?? moment, moment) }
  }
}

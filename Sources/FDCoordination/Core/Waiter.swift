/// Who waits outside of every lock until somebody tells him how it ended.
package protocol Waiter: AnyObject, Sendable {
  associatedtype Outcome: Sendable

  /// Ends the wait. Called once, with no lock held; also before the wait begins.
  func resume(with outcome: Outcome)
}

/// What time it is, and who rings when something is due.
package protocol Timekeeper: Sendable {
  var now: Moment { get }

  /// Asks to be rung at that time, or earlier. Called with no lock held, in any order.
  func wake(at moment: Moment)
}

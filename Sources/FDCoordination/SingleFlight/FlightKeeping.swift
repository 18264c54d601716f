/// A value that is kept, and until when.
struct KeptValue<Value> {
  /// Of the execution that brought it.
  let incarnation: Incarnation
  let value: Value
  let usableUntil: Moment
  var refreshAt: Moment
  var lastUse: Moment
  /// How often it has been given out: more than a time tells whether it was used in between.
  var uses = 0
}

/// A value that may be forgotten, as it was when somebody looked.
package struct ForgetCandidate<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  package let key: Key
  package let value: Value
  let incarnation: Incarnation
  let uses: Int
}

/// One execution, for who wants to cancel it. Callable from any thread, also before the execution
/// begins or after it has ended.
package protocol FlightHandle: AnyObject, Sendable {
  func cancel()
}

/// How a wait for a value ended.
package enum FlightOutcome<Value: Sendable>: Sendable {
  case value(Value)
  case failed(any Error)
  case tookTooLong
  case timedOut(isRunning: Bool)
  case cancelled
}

/// What is to be done when the lock is free again.
package struct FlightEffects<
  Key: Hashable & Sendable, Value: Sendable, Waiter, Handle: FlightHandle
> {
  package var resumptions: [(waiter: Waiter, outcome: FlightOutcome<Value>)] = []
  package var starts: [(key: Key, incarnation: Incarnation, handle: Handle)] = []
  package var cancellations: [Handle] = []
  /// Values that nobody keeps any more: their last reference goes with this.
  package var dropped: [Value] = []
  package var candidates: [ForgetCandidate<Key, Value>] = []
  package var wakeAt: Moment?
}

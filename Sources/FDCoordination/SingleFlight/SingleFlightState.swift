// One execution per key, and who waits for it.
//
// | an execution | a caller comes | the last caller goes | its time comes     | it returns      |
// |--------------|----------------|----------------------|--------------------|-----------------|
// | none         | begins one     |                      |                    |                 |
// | backing off  | joins          | forgotten            | runs               |                 |
// | running      | joins          | cancelled, abandoned | cancelled, a failure | callers get it |
// | abandoned    | begins another |                      |                    | comes to nothing |
//
// An abandoned execution is not the key's any more: it is known by its incarnation only, and what
// it brings is dropped. One that refreshes a kept value needs no caller, until one joins it.

/// The state of a single flight: no lock, no clock, no call of anybody's code save a key's hash.
package struct SingleFlightState<
  Key: Hashable & Sendable, Value: Sendable, Waiter, Handle: FlightHandle
> {
  package typealias Effects = FlightEffects<Key, Value, Waiter, Handle>

  package enum Joining {
    case value(Value)
    case waiting(Ticket)
    case stuck(executions: Int)
  }

  struct Flight {
    let incarnation: Incarnation
    let handle: Handle
    /// Nil while it backs off.
    var began: Moment?
    /// Whether it ends when nobody waits for it.
    var needsCallers: Bool
  }

  struct Entry {
    var flight: Flight?
    var kept: KeptValue<Value>?
    var abandoned = 0
    /// In a row.
    var failures = 0
    var notBefore = Moment.beginning

    var isEmpty: Bool { flight == nil && kept == nil && abandoned == 0 && failures == 0 }
  }

  let settings: SingleFlightSettings
  var entries: [Key: Entry] = [:]
  /// The keys with a kept value, or with failures to remember.
  var recency = RecencyList<Key>()
  var nextCollection: Moment?
  package internal(set) var isCollecting = false

  private var room = WaitingRoom<Incarnation, Waiter>()
  /// When those that back off begin, and those that run have to be done.
  private var flightTimes = DeadlineHeap<Incarnation>()
  /// Of every execution that runs, abandoned ones included, or is about to.
  private var keys: [Incarnation: Key] = [:]
  private var lastIncarnation = Incarnation.none

  private let makeHandle: @Sendable () -> Handle

  package init(_ settings: SingleFlightSettings, makeHandle: @escaping @Sendable () -> Handle) {
    self.settings = settings
    self.makeHandle = makeHandle
  }

  package var counts: (executions: Int, abandoned: Int, values: Int, waiters: Int) {
    let current = entries.values.count { $0.flight != nil }
    let kept = entries.values.count { $0.kept != nil }
    return (current, keys.count - current, kept, room.count)
  }

  package var entryCount: Int { max(entries.count, recency.count) }

  var nearest: Moment? {
    [room.nearestDeadline, flightTimes.nearest, nextCollection].compactMap(\.self).min()
  }

  // MARK: Callers

  /// A kept value, if it can be used still.
  package mutating func find(_ key: Key, at now: Moment, _ effects: inout Effects) -> Value? {
    guard let kept = entries[key]?.kept, now < kept.usableUntil else { return nil }
    entries[key]?.kept?.lastUse = now
    entries[key]?.kept?.uses += 1
    recency.use(key)
    if now >= kept.refreshAt, let entry = entries[key], entry.flight == nil,
      now >= entry.notBefore, entry.abandoned < settings.abandonedLimit
    {
      begin(key, at: now, needsCallers: false, &effects)
    }
    return kept.value
  }

  package mutating func join(
    _ key: Key, until due: Moment, at now: Moment, _ waiter: Waiter, _ effects: inout Effects
  ) -> Joining {
    if let value = find(key, at: now, &effects) { return .value(value) }
    let entry = entries[key, default: Entry()]
    if entry.flight == nil {
      guard entry.abandoned < settings.abandonedLimit else {
        return .stuck(executions: entry.abandoned)
      }
      begin(key, at: now, needsCallers: true, &effects)
    }
    entries[key]?.flight?.needsCallers = true
    guard let flight = entries[key]?.flight else { preconditionFailure("it has just begun") }
    let ticket = room.enter(waiter, for: flight.incarnation, until: due)
    effects.wakeAt = nearest
    return .waiting(ticket)
  }

  package mutating func cancel(_ ticket: Ticket, _ effects: inout Effects) {
    guard let (waiter, incarnation) = room.leave(ticket) else { return }
    effects.resumptions.append((waiter, .cancelled))
    abandonIfAlone(incarnation, &effects)
  }

  private mutating func begin(
    _ key: Key, at now: Moment, needsCallers: Bool, _ effects: inout Effects
  ) {
    lastIncarnation = lastIncarnation.next
    let flight = Flight(
      incarnation: lastIncarnation, handle: makeHandle(), began: nil, needsCallers: needsCallers)
    var entry = entries[key, default: Entry()]
    entry.flight = flight
    entries[key] = entry
    keys[flight.incarnation] = key
    if now < entry.notBefore {
      flightTimes.insert(flight.incarnation, due: entry.notBefore)
      effects.wakeAt = nearest
    } else {
      run(key, flight, at: now, &effects)
    }
  }

  private mutating func run(
    _ key: Key, _ flight: Flight, at now: Moment, _ effects: inout Effects
  ) {
    entries[key]?.flight?.began = now
    flightTimes.insert(flight.incarnation, due: now + settings.executionLimit)
    effects.starts.append((key, flight.incarnation, flight.handle))
    effects.wakeAt = nearest
  }

  // MARK: The end of an execution

  /// It has returned.
  ///
  /// - Parameters:
  ///   - lifetime: of a value; nil if it does not tell.
  ///   - chance: from 0 to 1, for the back-off.
  package mutating func finish(
    _ incarnation: Incarnation, _ result: Result<Value, any Error>, lifetime: Duration?,
    chance: Double, at now: Moment, _ effects: inout Effects
  ) {
    guard let key = keys.removeValue(forKey: incarnation) else {
      preconditionFailure("an execution returns once")
    }
    defer { tidy(key) }
    guard let flight = entries[key]?.flight, flight.incarnation == incarnation,
      let began = flight.began
    else {
      entries[key]?.abandoned -= 1
      if case .success(let value) = result { effects.dropped.append(value) }
      return
    }
    entries[key]?.flight = nil
    flightTimes.remove(incarnation)
    let waiters = room.leaveAll(for: incarnation)
    switch result {
    case .success(let value):
      effects.resumptions += waiters.map { ($0, .value(value)) }
      entries[key]?.failures = 0
      entries[key]?.notBefore = .beginning
      keep(value, of: key, incarnation, began: began, lifetime, at: now, &effects)
    case .failure(let error):
      effects.resumptions += waiters.map { ($0, .failed(error)) }
      remember(failureOf: key, chance, at: now, &effects)
    }
    effects.wakeAt = nearest
  }

  /// What is due: callers' deadlines, the ends of back-offs, executions that take too long, and the
  /// collection.
  package mutating func expire(at now: Moment, chance: Double, _ effects: inout Effects) {
    while let (waiter, incarnation) = room.leaveDue(now) {
      let isRunning = keys[incarnation].map { entries[$0]?.flight?.began != nil } ?? false
      effects.resumptions.append((waiter, .timedOut(isRunning: isRunning)))
      abandonIfAlone(incarnation, &effects)
    }
    while let incarnation = flightTimes.popDue(now) {
      guard let key = keys[incarnation], let flight = entries[key]?.flight else {
        preconditionFailure("who has a time is the execution of a key")
      }
      if flight.began == nil {
        run(key, flight, at: now, &effects)
      } else {
        effects.resumptions += room.leaveAll(for: incarnation).map { ($0, .tookTooLong) }
        abandon(key, flight, &effects)
        remember(failureOf: key, chance, at: now, &effects)
      }
    }
    collectIfDue(at: now, &effects)
    effects.wakeAt = nearest
  }

  /// Cancels everything, when nobody can wait any more.
  package mutating func abandonAll(_ effects: inout Effects) {
    for (key, entry) in entries {
      if let flight = entry.flight { abandon(key, flight, &effects) }
    }
  }

  private mutating func abandonIfAlone(_ incarnation: Incarnation, _ effects: inout Effects) {
    guard room.count(for: incarnation) == 0, let key = keys[incarnation],
      let flight = entries[key]?.flight, flight.incarnation == incarnation, flight.needsCallers
    else { return }
    abandon(key, flight, &effects)
    tidy(key)
  }

  /// The key is free for another execution; what this one brings comes to nothing.
  private mutating func abandon(_ key: Key, _ flight: Flight, _ effects: inout Effects) {
    entries[key]?.flight = nil
    flightTimes.remove(flight.incarnation)
    if flight.began == nil {
      keys[flight.incarnation] = nil
    } else {
      entries[key]?.abandoned += 1
      effects.cancellations.append(flight.handle)
    }
  }

  /// Lets go of a key of which nothing is left.
  mutating func tidy(_ key: Key) {
    guard let entry = entries[key] else { return }
    if entry.kept == nil, entry.failures == 0 { recency.remove(key) }
    if entry.isEmpty { entries[key] = nil }
  }
}

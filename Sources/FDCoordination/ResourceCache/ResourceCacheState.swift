// The one instance of each key, from before its start until after its stop.
//
// | instance | a caller comes       | start returns     | pushed out      | last lease goes | stop returns |
// |----------|----------------------|-------------------|-----------------|-----------------|--------------|
// | none     | starting, it waits   |                   |                 |                 |              |
// | starting | it waits             | kept (or none)    |                 |                 |              |
// | kept     | a lease              |                   | retired or stopping | kept        |              |
// | retired  | a lease, kept again  |                   |                 | stopping        |              |
// | stopping | it waits             |                   |                 |                 | none, or starting |
//
// Kept instances are in the cache, and pushed out when there are too many of them. A retired one has
// been pushed out and is still leased. So no key ever has two instances, and only a stop that has
// begun is waited for, never a lease.

/// How a wait ended.
package enum LeaseOutcome<Resource: Sendable>: Sendable {
  case leased(Incarnation, Resource)
  case failed(any Error)
  case timedOut(isStopping: Bool)
  case cancelled
  case shutDown
  /// Of who waits for the end: nothing is left.
  case ended
}

/// How many instances there are of each kind.
package struct InstanceCounts: Equatable, Sendable {
  package var starting = 0
  package var kept = 0
  package var retired = 0
  package var stopping = 0
  package var leases = 0
}

/// The state of a cache: no lock, no clock, no call of anybody's code save a key's hash.
package struct ResourceCacheState<Key: Hashable & Sendable, Resource: Sendable, Waiter> {
  /// What is to be done when the lock is free again.
  package struct Effects {
    package var resumptions: [(waiter: Waiter, outcome: LeaseOutcome<Resource>)] = []
    package var starts: [(key: Key, incarnation: Incarnation)] = []
    package var stops: [(key: Key, incarnation: Incarnation, resource: Resource)] = []
    package var wakeAt: Moment?
  }

  package enum Leasing {
    case leased(Incarnation, Resource)
    case waiting(Ticket)
    case shutDown
  }

  private enum Phase {
    case starting
    case live(Resource, leases: Int, isKept: Bool)
    case stopping
  }

  private struct Instance {
    let incarnation: Incarnation
    var phase: Phase
  }

  private enum Purpose: Hashable {
    case lease(Key)
    case end
  }

  private let capacity: Int
  private var instances: [Key: Instance] = [:]
  /// The keys of those that are kept.
  private var recency = RecencyList<Key>()
  private var room = WaitingRoom<Purpose, Waiter>()
  private var lastIncarnation = Incarnation.none
  private var isShutDown = false

  package init(capacity: Int) { self.capacity = capacity }

  package var waiters: Int { room.count }

  package var counts: InstanceCounts {
    var counts = InstanceCounts()
    for instance in instances.values {
      switch instance.phase {
      case .starting: counts.starting += 1
      case .live(_, let leases, let isKept):
        if isKept { counts.kept += 1 } else { counts.retired += 1 }
        counts.leases += leases
      case .stopping: counts.stopping += 1
      }
    }
    return counts
  }

  /// Whether an instance is kept under that key.
  package func has(_ key: Key) -> Bool {
    guard case .live(_, _, isKept: true)? = instances[key]?.phase else { return false }
    return true
  }

  // MARK: Leases

  /// A lease of an instance that is there; revives one that has been pushed out.
  package mutating func lease(
    _ key: Key, _ effects: inout Effects
  ) -> (incarnation: Incarnation, resource: Resource)? {
    guard !isShutDown, let instance = instances[key],
      case .live(let resource, let leases, _) = instance.phase
    else { return nil }
    instances[key]?.phase = .live(resource, leases: leases + 1, isKept: true)
    recency.use(key)
    pushOut(&effects)
    return (instance.incarnation, resource)
  }

  package mutating func join(
    _ key: Key, until due: Moment, _ waiter: Waiter, _ effects: inout Effects
  ) -> Leasing {
    guard !isShutDown else { return .shutDown }
    if let (incarnation, resource) = lease(key, &effects) { return .leased(incarnation, resource) }
    let ticket = room.enter(waiter, for: .lease(key), until: due)
    effects.wakeAt = due
    if instances[key] == nil { start(key, &effects) }
    return .waiting(ticket)
  }

  package mutating func release(
    _ key: Key, _ incarnation: Incarnation, _ effects: inout Effects
  ) {
    guard let instance = instances[key], instance.incarnation == incarnation,
      case .live(let resource, let leases, let isKept) = instance.phase, leases > 0
    else { preconditionFailure("a lease is released once, and its instance lives until then") }
    instances[key]?.phase = .live(resource, leases: leases - 1, isKept: isKept)
    if leases == 1, !isKept { stop(key, &effects) }
  }

  package mutating func cancel(_ ticket: Ticket, _ effects: inout Effects) {
    guard let (waiter, _) = room.leave(ticket) else { return }
    effects.resumptions.append((waiter, .cancelled))
  }

  package mutating func expire(at now: Moment, _ effects: inout Effects) {
    while let (waiter, purpose) = room.leaveDue(now) {
      var isStopping = false
      if case .lease(let key) = purpose, case .stopping? = instances[key]?.phase {
        isStopping = true
      }
      effects.resumptions.append((waiter, .timedOut(isStopping: isStopping)))
    }
    effects.wakeAt = room.nearestDeadline
  }

  // MARK: Starting and stopping

  private mutating func start(_ key: Key, _ effects: inout Effects) {
    lastIncarnation = lastIncarnation.next
    instances[key] = Instance(incarnation: lastIncarnation, phase: .starting)
    effects.starts.append((key, lastIncarnation))
  }

  /// A start has returned.
  package mutating func started(
    _ key: Key, _ incarnation: Incarnation, _ result: Result<Resource, any Error>,
    _ effects: inout Effects
  ) {
    guard let instance = instances[key], instance.incarnation == incarnation,
      case .starting = instance.phase
    else { preconditionFailure("a start returns once, and its instance is starting until then") }
    let waiters = room.leaveAll(for: .lease(key))
    switch result {
    case .failure(let error):
      instances[key] = nil
      effects.resumptions += waiters.map { ($0, .failed(error)) }
      endIfEmpty(&effects)
    case .success(let resource):
      instances[key]?.phase = .live(resource, leases: waiters.count, isKept: !isShutDown)
      effects.resumptions += waiters.map { ($0, .leased(incarnation, resource)) }
      // After a shutdown nobody waits any more, and nothing is kept.
      if isShutDown { return stop(key, &effects) }
      recency.use(key)
      pushOut(&effects)
    }
  }

  /// Pushes out the instances used longest ago, as many as there are too many.
  private mutating func pushOut(_ effects: inout Effects) {
    while recency.count > capacity, let oldest = recency.oldest { pushOut(oldest, &effects) }
  }

  /// Pushes one out. Does nothing if none is kept under that key.
  package mutating func pushOut(_ key: Key, _ effects: inout Effects) {
    guard case .live(let resource, let leases, isKept: true)? = instances[key]?.phase else {
      return
    }
    recency.remove(key)
    instances[key]?.phase = .live(resource, leases: leases, isKept: false)
    if leases == 0 { stop(key, &effects) }
  }

  private mutating func stop(_ key: Key, _ effects: inout Effects) {
    guard let instance = instances[key],
      case .live(let resource, leases: 0, isKept: false) = instance.phase
    else { preconditionFailure("only who is neither kept nor leased is stopped") }
    instances[key]?.phase = .stopping
    effects.stops.append((key, instance.incarnation, resource))
  }

  /// A stop has returned.
  package mutating func stopped(
    _ key: Key, _ incarnation: Incarnation, _ effects: inout Effects
  ) {
    guard let instance = instances[key], instance.incarnation == incarnation,
      case .stopping = instance.phase
    else { preconditionFailure("a stop returns once, and its instance is stopping until then") }
    instances[key] = nil
    if room.count(for: .lease(key)) > 0 { start(key, &effects) }
    endIfEmpty(&effects)
  }

  // MARK: The end

  /// Refuses new leases, pushes everything out and waits until nothing is left.
  ///
  /// - Returns: nil if nothing is left already.
  package mutating func shutDown(
    until due: Moment, _ waiter: Waiter, _ effects: inout Effects
  ) -> Ticket? {
    if !isShutDown {
      isShutDown = true
      for key in instances.keys {
        effects.resumptions += room.leaveAll(for: .lease(key)).map { ($0, .shutDown) }
      }
      while let oldest = recency.oldest { pushOut(oldest, &effects) }
    }
    guard !instances.isEmpty else { return nil }
    effects.wakeAt = due
    return room.enter(waiter, for: .end, until: due)
  }

  private mutating func endIfEmpty(_ effects: inout Effects) {
    guard isShutDown, instances.isEmpty else { return }
    effects.resumptions += room.leaveAll(for: .end).map { ($0, .ended) }
  }
}

package import FDNet

/// A cache with a lock: calls the state under it, and does what follows after unlocking. Generic
/// over all that waits, so that the explorer runs this source. Callable from any thread.
package final class ResourceCacheCore<
  Lock: ListLock & ~Copyable, Key: Hashable & Sendable, Resource: Sendable, Guest: Waiter,
  Time: Timekeeper
>: @unchecked Sendable where Guest.Outcome == LeaseOutcome<Resource> {
  package typealias State = ResourceCacheState<Key, Resource, Guest>

  /// What is not the core's own. Called with no lock held.
  package struct Hooks: Sendable {
    /// Starts an instance, and ends with `started`.
    package var start: @Sendable (ResourceCacheCore, Key, Incarnation) -> Void
    /// Stops one, and ends with `stopped`.
    package var stop: @Sendable (ResourceCacheCore, Key, Incarnation, Resource) -> Void

    package init(
      start: @escaping @Sendable (ResourceCacheCore, Key, Incarnation) -> Void,
      stop: @escaping @Sendable (ResourceCacheCore, Key, Incarnation, Resource) -> Void
    ) {
      self.start = start
      self.stop = stop
    }
  }

  package let time: Time
  private let hooks: Hooks
  private let lock = Lock()
  private var state: State

  package init(capacity: Int, _ time: Time, _ hooks: Hooks) {
    state = State(capacity: capacity)
    self.time = time
    self.hooks = hooks
  }

  package var counts: InstanceCounts { lock.withLock { state.counts } }
  package var waiters: Int { lock.withLock { state.waiters } }

  package func has(_ key: Key) -> Bool { lock.withLock { state.has(key) } }

  /// A lease of an instance that is there.
  package func lease(_ key: Key) -> (incarnation: Incarnation, resource: Resource)? {
    change { state, effects in state.lease(key, &effects) }
  }

  package func join(_ key: Key, until due: Moment, _ waiter: Guest) -> State.Leasing {
    change { state, effects in state.join(key, until: due, waiter, &effects) }
  }

  package func release(_ key: Key, _ incarnation: Incarnation) {
    change { state, effects in state.release(key, incarnation, &effects) }
  }

  package func cancel(_ ticket: Ticket) {
    change { state, effects in state.cancel(ticket, &effects) }
  }

  package func expire() {
    let now = time.now
    change { state, effects in state.expire(at: now, &effects) }
  }

  package func pushOut(_ key: Key) {
    change { state, effects in state.pushOut(key, &effects) }
  }

  package func started(
    _ key: Key, _ incarnation: Incarnation, _ result: Result<Resource, any Error>
  ) {
    change { state, effects in state.started(key, incarnation, result, &effects) }
  }

  package func stopped(_ key: Key, _ incarnation: Incarnation) {
    change { state, effects in state.stopped(key, incarnation, &effects) }
  }

  package func shutDown(until due: Moment, _ waiter: Guest) -> Ticket? {
    change { state, effects in state.shutDown(until: due, waiter, &effects) }
  }

  /// The only place where the state changes: under the lock that, and nothing else.
  private func change<Result>(
    _ body: (inout State, inout State.Effects) -> Result
  ) -> Result {
    var effects = State.Effects()
    let result = lock.withLock { body(&state, &effects) }
    for (waiter, outcome) in effects.resumptions { waiter.resume(with: outcome) }
    if let moment = effects.wakeAt { time.wake(at: moment) }
    for (key, incarnation, resource) in effects.stops {
      hooks.stop(self, key, incarnation, resource)
    }
    for (key, incarnation) in effects.starts { hooks.start(self, key, incarnation) }
    return result
  }
}

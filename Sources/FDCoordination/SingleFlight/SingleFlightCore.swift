package import FDNet

/// A single flight with a lock: calls the state under it, and does what follows after unlocking.
/// Generic over all that waits, so that the explorer runs this source. Callable from any thread.
package final class SingleFlightCore<
  Lock: ListLock & ~Copyable, Key: Hashable & Sendable, Value: Sendable, Guest: Waiter,
  Handle: FlightHandle, Time: Timekeeper
>: @unchecked Sendable where Guest.Outcome == FlightOutcome<Value> {
  package typealias State = SingleFlightState<Key, Value, Guest, Handle>

  /// What is not the core's own. Called with no lock held, save for one.
  package struct Hooks: Sendable {
    /// Called with the lock held, and so the one that does nothing but make an object.
    package var makeHandle: @Sendable () -> Handle
    /// Begins an execution, which ends with `finish`.
    package var start: @Sendable (SingleFlightCore, Key, Incarnation, Handle) -> Void
    /// Sees which candidates may be forgotten, and ends with `endCollection`.
    package var collect: @Sendable (SingleFlightCore, [ForgetCandidate<Key, Value>]) -> Void
    /// Nil if a value does not tell.
    package var lifetime: @Sendable (Value) -> Duration?
    /// From 0 to 1.
    package var chance: @Sendable () -> Double

    package init(
      makeHandle: @escaping @Sendable () -> Handle,
      start: @escaping @Sendable (SingleFlightCore, Key, Incarnation, Handle) -> Void,
      collect: @escaping @Sendable (SingleFlightCore, [ForgetCandidate<Key, Value>]) -> Void,
      lifetime: @escaping @Sendable (Value) -> Duration?,
      chance: @escaping @Sendable () -> Double
    ) {
      self.makeHandle = makeHandle
      self.start = start
      self.collect = collect
      self.lifetime = lifetime
      self.chance = chance
    }
  }

  package let time: Time
  private let hooks: Hooks
  private let lock = Lock()
  private var state: State

  package init(_ settings: SingleFlightSettings, _ time: Time, _ hooks: Hooks) {
    state = State(settings, makeHandle: hooks.makeHandle)
    self.time = time
    self.hooks = hooks
  }

  package var counts: (executions: Int, abandoned: Int, values: Int, waiters: Int) {
    lock.withLock { state.counts }
  }

  package var entries: Int { lock.withLock { state.entryCount } }
  package var isCollecting: Bool { lock.withLock { state.isCollecting } }

  /// A kept value.
  package func find(_ key: Key) -> Value? {
    let now = time.now
    return change { state, effects in state.find(key, at: now, &effects) }
  }

  package func join(_ key: Key, until due: Moment, _ waiter: Guest) -> State.Joining {
    let now = time.now
    return change { state, effects in state.join(key, until: due, at: now, waiter, &effects) }
  }

  package func cancel(_ ticket: Ticket) {
    change { state, effects in state.cancel(ticket, &effects) }
  }

  package func finish(_ incarnation: Incarnation, _ result: Result<Value, any Error>) {
    let lifetime = (try? result.get()).flatMap(hooks.lifetime)
    let (chance, now) = (hooks.chance(), time.now)
    change { state, effects in
      state.finish(
        incarnation, result, lifetime: lifetime, chance: chance, at: now, &effects)
    }
  }

  package func expire() {
    let (chance, now) = (hooks.chance(), time.now)
    change { state, effects in state.expire(at: now, chance: chance, &effects) }
  }

  package func abandonAll() {
    change { state, effects in state.abandonAll(&effects) }
  }

  // MARK: Collection

  package func forget(_ candidate: ForgetCandidate<Key, Value>) {
    change { state, effects in state.forget(candidate, &effects) }
  }

  package func endCollection() {
    let now = time.now
    change { state, effects in state.endCollection(at: now, &effects) }
  }

  package func candidate(_ key: Key) -> ForgetCandidate<Key, Value>? {
    lock.withLock { state.candidate(key) }
  }

  package func remove(_ seen: ForgetCandidate<Key, Value>) {
    change { state, effects in state.remove(seen, &effects) }
  }

  /// The only place where the state changes: under the lock that, and nothing else.
  private func change<Result>(
    _ body: (inout State, inout State.Effects) -> Result
  ) -> Result {
    var effects = State.Effects()
    let result = lock.withLock { body(&state, &effects) }
    for (waiter, outcome) in effects.resumptions { waiter.resume(with: outcome) }
    for handle in effects.cancellations { handle.cancel() }
    if let moment = effects.wakeAt { time.wake(at: moment) }
    for (key, incarnation, handle) in effects.starts { hooks.start(self, key, incarnation, handle) }
    if !effects.candidates.isEmpty { hooks.collect(self, effects.candidates) }
    return result
  }
}

package import FDPoller

/// Resources that are started when somebody asks for them, kept while they are in use or were used
/// lately, and stopped then: watchers, pools, compiled policies.
///
/// A key has one instance or none, and its start and its stop run in tasks of their own, with no
/// lock held: a start that hangs holds its own key and nothing else. Who uses a resource has a
/// lease; one that has been pushed out is stopped when the last lease is gone.
///
/// ```swift
/// let policies = ResourceCache<String, Policy>(
///   start: { name in try await Policy.compile(name) },
///   stop: { _, policy in await policy.unload() })
/// let isAllowed = try await policies.withResource("admin", deadline: .seconds(5)) { policy in
///   policy.allows(request)
/// }
/// try await policies.shutDown(deadline: .seconds(30))
/// ```
///
/// Callable from any thread and any executor; waits stay on the caller's. What is kept when the last
/// reference goes is not stopped: shut it down.
public final class ResourceCache<Key: Hashable & Sendable, Resource: Sendable>: Sendable {
  package typealias Guest = AsyncWaiter<LeaseOutcome<Resource>>
  package typealias Core = ResourceCacheCore<PlatformLock, Key, Resource, Guest, AlarmClock>

  package let core: Core

  /// - Parameters:
  ///   - capacity: how many are kept; the one used longest ago is pushed out first. More may live
  ///     while they are leased, or stop.
  ///   - clock: by which deadlines are kept.
  ///   - start: makes the resource of a key, and gives it a deadline of its own if it may hang. It
  ///     is carried through even if all who waited for it have gone, and releases what it took if
  ///     it throws. Never runs twice for a key at a time, nor before the stop of the instance
  ///     before has returned.
  ///   - stop: ends a resource that nobody uses any more. Called once for each that was started.
  public init(
    capacity: Int = 10, clock: any Clock<Duration> = ContinuousClock(),
    start: @escaping @Sendable (Key) async throws -> Resource,
    stop: @escaping @Sendable (Key, Resource) async -> Void
  ) {
    precondition(capacity >= 0, "a cache keeps no fewer than 0 resources")
    let time = AlarmClock(clock)
    let hooks = Core.Hooks(
      start: { core, key, incarnation in
        Task.detached {
          let result = await Result(awaiting: { try await start(key) })
          core.started(key, incarnation, result)
        }
      },
      stop: { core, key, incarnation, resource in
        Task.detached {
          await stop(key, resource)
          core.stopped(key, incarnation)
        }
      })
    let core = Core(capacity: capacity, time, hooks)
    time.onRing { [weak core] in core?.expire() }
    self.core = core
  }

  /// Whether a resource is kept under that key, at once. It may have gone by the time that somebody
  /// asks for it.
  public func has(_ key: Key) -> Bool { core.has(key) }

  /// How many it has at this moment.
  public var count: ResourceCacheCount {
    let counts = core.counts
    return ResourceCacheCount(
      starting: counts.starting, kept: counts.kept, retired: counts.retired,
      stopping: counts.stopping, leases: counts.leases, waiters: core.waiters)
  }

  /// Calls the body with the resource of a key, which is started if there is none, and keeps it
  /// from being stopped meanwhile.
  ///
  /// - Parameters:
  ///   - key: of the resource.
  ///   - deadline: how long it may take until the body runs.
  ///   - body: uses the resource.
  /// - Returns: what the body returns.
  /// - Throws: as `lease(_:deadline:)`, and what the body throws.
  nonisolated(nonsending) public func withResource<Result: ~Copyable>(
    _ key: Key, deadline: Duration,
    _ body: nonisolated(nonsending) (Resource) async throws -> Result
  ) async throws -> Result {
    let lease = try await lease(key, deadline: deadline)
    return try await body(lease.resource)
  }

  /// A lease of the resource of a key, which is started if there is none. One that is there is
  /// leased at once, even to a task that is cancelled.
  ///
  /// - Parameters:
  ///   - key: of the resource.
  ///   - deadline: how long it may take.
  /// - Returns: the lease, which ends when it goes out of scope.
  /// - Throws: what ended the wait. A failure of the start comes as `failed`, with its cause.
  nonisolated(nonsending) public func lease(
    _ key: Key, deadline: Duration
  ) async throws(ResourceCacheError) -> ResourceLease<Key, Resource> {
    if let (incarnation, resource) = core.lease(key) {
      return ResourceLease(key, incarnation, resource, core)
    }
    // It would begin a start, only to go away.
    guard !Task.isCancelled else {
      throw .cancelled(key: String(describing: key), waited: .zero)
    }
    let beginning = core.time.now
    let waiter = Guest()
    let ticket: Ticket
    switch core.join(key, until: beginning + deadline, waiter) {
    case .leased(let incarnation, let resource):
      return ResourceLease(key, incarnation, resource, core)
    case .waiting(let given): ticket = given
    case .shutDown: throw .shutDown(key: String(describing: key), waited: .zero)
    }
    let outcome = await waiter.outcome(onCancel: { [core] in core.cancel(ticket) })
    let waited = core.time.now - beginning
    switch outcome {
    case .leased(let incarnation, let resource):
      return ResourceLease(key, incarnation, resource, core)
    case .failed(let cause): throw .failed(key: String(describing: key), cause: cause)
    case .timedOut(let isStopping):
      throw .timedOut(key: String(describing: key), waited: waited, isStopping: isStopping)
    case .cancelled: throw .cancelled(key: String(describing: key), waited: waited)
    case .shutDown: throw .shutDown(key: String(describing: key), waited: waited)
    case .ended: preconditionFailure("only who shuts down waits for the end")
    }
  }

  /// Pushes a resource out: it is stopped when nobody uses it any more, and the next caller starts
  /// another one, unless he comes before that and revives it. Does nothing if none is kept.
  public func evict(_ key: Key) { core.pushOut(key) }

  /// Ends it: who waits fails, nothing is started any more, everything is stopped once, when its
  /// last lease has gone. Waits until starts, leases and stops have all come to their ends; so do
  /// later calls.
  ///
  /// - Parameter deadline: how long to wait.
  /// - Throws: `notEnded` with what is left, at the deadline or when the task is cancelled.
  nonisolated(nonsending) public func shutDown(
    deadline: Duration
  ) async throws(ResourceCacheError) {
    let beginning = core.time.now
    let waiter = Guest()
    guard let ticket = core.shutDown(until: beginning + deadline, waiter) else { return }
    let outcome = await waiter.outcome(onCancel: { [core] in core.cancel(ticket) })
    if case .ended = outcome { return }
    throw .notEnded(waited: core.time.now - beginning, left: count)
  }
}

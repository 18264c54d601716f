package import FDPoller

/// Many callers, one fetch: of tokens, certificates, routes.
///
/// Callers that ask for one key at the same time share one execution. Each waits until its own
/// deadline and can be cancelled by itself; the execution goes on while anybody waits for it, and
/// is cancelled when the last one has gone. Nobody is held by a function that ignores that, and no
/// key by another: no lock is held while anything runs or waits.
///
/// ```swift
/// let tokens = SingleFlight<String, Token>(
///   .caching,
///   lifetime: { $0.lifetime },
///   fetch: { user in try await authority.token(for: user) })
/// let token = try await tokens.value(for: "jo", deadline: .seconds(5))
/// ```
///
/// Callable from any thread and any executor; waits stay on the caller's. Executions run in tasks
/// of their own. When the last reference goes, they are cancelled.
public final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  package typealias Guest = AsyncWaiter<FlightOutcome<Value>>
  package typealias Core = SingleFlightCore<
    PlatformLock, Key, Value, Guest, FlightTask, AlarmClock
  >

  package let core: Core
  private let executionLimit: Duration

  /// - Parameters:
  ///   - settings: of back-off, cache and limits.
  ///   - lifetime: how long a value is good for, from the time that its execution began; nil if it
  ///     does not tell. Called once for each value that a fetch brings, with no lock held.
  ///   - mayForget: asked whether a value that nobody has used for long may be forgotten, with no
  ///     lock held; if it throws, or takes longer than the settings allow, the value stays. Nil for
  ///     yes.
  ///   - clock: by which deadlines are kept and values age.
  ///   - chance: from 0 to 1, by which back-offs vary; at random by default.
  ///   - fetch: what brings the value of a key. Its task is cancelled when nobody waits any more,
  ///     or when it takes longer than the settings allow.
  public init(
    _ settings: SingleFlightSettings = SingleFlightSettings(),
    lifetime: @escaping @Sendable (Value) -> Duration? = { _ in nil },
    mayForget: (@Sendable (Key, Value) async throws -> Bool)? = nil,
    clock: any Clock<Duration> = ContinuousClock(),
    chance: @escaping @Sendable () -> Double = { Double.random(in: 0...1) },
    fetch: @escaping @Sendable (Key) async throws -> Value
  ) {
    let time = AlarmClock(clock)
    let limit = settings.executionLimit
    let hooks = Core.Hooks(
      makeHandle: { FlightTask() },
      start: { core, key, incarnation, handle in
        handle.hold(
          Task.detached {
            let result = await Result(awaiting: { try await fetch(key) })
            core.finish(incarnation, result)
          })
      },
      collect: { core, candidates in
        Task.detached {
          for candidate in candidates {
            if let mayForget {
              let answer = await core.time.bounded(within: limit) {
                try await mayForget(candidate.key, candidate.value)
              }
              guard case .success(true)? = answer else { continue }
            }
            core.forget(candidate)
          }
          core.endCollection()
        }
      },
      lifetime: lifetime, chance: chance)
    let core = Core(settings, time, hooks)
    time.onRing { [weak core] in core?.expire() }
    self.core = core
    executionLimit = limit
  }

  deinit { core.abandonAll() }

  /// The value of a key: a kept one at once, even for a task that is cancelled, or the result of an
  /// execution that this caller joins or begins.
  ///
  /// - Parameters:
  ///   - key: of the value.
  ///   - deadline: how long it may take.
  /// - Throws: what ended the wait. A failure of the execution comes as `failed`, with its cause.
  nonisolated(nonsending) public func value(
    for key: Key, deadline: Duration
  ) async throws(SingleFlightError) -> Value {
    if let value = core.find(key) { return value }
    // It would begin an execution, only to cancel it.
    guard !Task.isCancelled else {
      throw .cancelled(key: String(describing: key), waited: .zero)
    }
    let beginning = core.time.now
    let waiter = Guest()
    let ticket: Ticket
    switch core.join(key, until: beginning + deadline, waiter) {
    case .value(let value): return value
    case .waiting(let given): ticket = given
    case .stuck(let executions):
      throw .stuck(key: String(describing: key), executions: executions)
    }
    let outcome = await waiter.outcome(onCancel: { [core] in core.cancel(ticket) })
    let waited = core.time.now - beginning
    switch outcome {
    case .value(let value): return value
    case .failed(let cause): throw .failed(key: String(describing: key), cause: cause)
    case .tookTooLong: throw .tookTooLong(key: String(describing: key), limit: executionLimit)
    case .timedOut(let isRunning):
      throw .timedOut(key: String(describing: key), waited: waited, isRunning: isRunning)
    case .cancelled: throw .cancelled(key: String(describing: key), waited: waited)
    }
  }

  /// Forgets the value of a key, for who has found that it is no good. An execution that runs is
  /// left alone.
  ///
  /// - Parameters:
  ///   - key: of the value.
  ///   - isStale: whether that is the one; called with no lock held. A value that has come in its
  ///     place meanwhile stays.
  public func forget(_ key: Key, where isStale: (Value) -> Bool = { _ in true }) {
    guard let seen = core.candidate(key), isStale(seen.value) else { return }
    core.remove(seen)
  }

  /// How much is going on at this moment.
  public var count: SingleFlightCount {
    let counts = core.counts
    return SingleFlightCount(
      executions: counts.executions, abandoned: counts.abandoned, values: counts.values,
      waiters: counts.waiters)
  }
}

/// What a `SingleFlight` has at one moment.
public struct SingleFlightCount: Sendable, Equatable {
  /// Executions that run, or back off before they do.
  public let executions: Int
  /// Executions that have been cancelled and have not returned.
  public let abandoned: Int
  /// Values that are kept.
  public let values: Int
  /// Tasks that wait for a value.
  public let waiters: Int

  package init(executions: Int, abandoned: Int, values: Int, waiters: Int) {
    self.executions = executions
    self.abandoned = abandoned
    self.values = values
    self.waiters = waiters
  }
}

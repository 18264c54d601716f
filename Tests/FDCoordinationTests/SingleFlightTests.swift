import FDCoordination
import TestKit
import Testing

/// The statements about `SingleFlight`, by their numbers; those about its cache are in
/// `SingleFlightCacheTests`.
@Suite("SingleFlight")
struct SingleFlightTests {
  typealias Flight = SingleFlight<String, Int>

  private static let long = Duration.seconds(60)

  /// Callers that ask at the same time.
  private func ask(
    _ flight: Flight, _ key: String = "a", deadline: Duration = long
  ) -> Task<Int, any Error> {
    Task { try await flight.value(for: key, deadline: deadline) }
  }

  private func failure(_ task: Task<Int, any Error>) async -> SingleFlightError? {
    await #expect(throws: SingleFlightError.self) { try await task.value }
  }

  // MARK: 1

  @Test("1. One execution per key; joiners share its result")
  func shared() async throws {
    let (executions, gate) = (Tally(), Signal())
    let flight = Flight { key in
      executions.add()
      try await gate.wait()
      return key.count
    }
    let callers = (0..<100).map { _ in ask(flight, "four") }
    #expect(await eventually { flight.count.waiters == 100 })
    #expect(flight.count.executions == 1)
    gate.open()
    for caller in callers { #expect(try await caller.value == 4) }
    #expect(executions.value == 1)
    #expect(flight.count == SingleFlightCount(executions: 0, abandoned: 0, values: 0, waiters: 0))
  }

  // MARK: 2

  @Test("2. A caller's cancellation is its own")
  func ownCancellation() async throws {
    let gate = Signal()
    let flight = Flight { _ in
      try await gate.wait()
      return 1
    }
    let (one, other) = (ask(flight), ask(flight))
    #expect(await eventually { flight.count.waiters == 2 })
    one.cancel()
    guard case .cancelled(key: "a", _)? = await failure(one) else {
      Issue.record("it is not told of its cancellation")
      return
    }
    #expect(flight.count.executions == 1)
    gate.open()
    #expect(try await other.value == 1)
  }

  @Test("2. When the last one is gone, the work is cancelled")
  func lastOne() async throws {
    let cancelled = Tally()
    let flight = Flight { _ in
      do { try await Signal().wait() } catch {
        cancelled.add()
        throw error
      }
      return 1
    }
    let callers = [ask(flight), ask(flight)]
    #expect(await eventually { flight.count.waiters == 2 })
    callers[0].cancel()
    _ = await failure(callers[0])
    #expect(cancelled.value == 0)
    callers[1].cancel()
    _ = await failure(callers[1])
    #expect(await eventually { cancelled.value == 1 })
    #expect(await eventually { flight.count.abandoned == 0 })
  }

  @Test(
    "2. A function that ignores cancellation never holds a caller: callers return at their own deadline"
  )
  func ignoringCancellation() async throws {
    let clock = ManualClock()
    let gate = Signal()
    let flight = Flight(clock: clock) { _ in
      await gate.waitIgnoringCancellation()
      return 1
    }
    let (early, late) = (ask(flight, deadline: .seconds(5)), ask(flight, deadline: .seconds(10)))
    #expect(await eventually { flight.count.waiters == 2 && clock.sleepers == 1 })
    clock.advance(by: .seconds(5))
    guard case .timedOut("a", waited: .seconds(5), isRunning: true)? = await failure(early) else {
      Issue.record("it does not say how long it has waited")
      return
    }
    #expect(await eventually { clock.sleepers == 1 })
    #expect(flight.count.waiters == 1)
    clock.advance(by: .seconds(5))
    _ = await failure(late)
    #expect(flight.count == SingleFlightCount(executions: 0, abandoned: 1, values: 0, waiters: 0))
    gate.open()
    #expect(await eventually { flight.count.abandoned == 0 })
  }

  @Test("2. What an abandoned execution brings reaches nobody who came later")
  func lateResult() async throws {
    let (gate, executions) = (Signal(), Tally())
    let flight = Flight(.caching) { _ in
      let number = executions.add()
      if number == 1 { await gate.waitIgnoringCancellation() }
      return number
    }
    let first = ask(flight)
    #expect(await eventually { executions.value == 1 })
    first.cancel()
    _ = await failure(first)
    #expect(try await flight.value(for: "a", deadline: Self.long) == 2)
    gate.open()
    #expect(await eventually { flight.count.abandoned == 0 })
    #expect(try await flight.value(for: "a", deadline: Self.long) == 2)
  }

  @Test("2. A function that never returns does not collect executions without end")
  func stuck() async throws {
    let gate = Signal()
    let flight = Flight { _ in
      await gate.waitIgnoringCancellation()
      return 1
    }
    for number in 1...4 {
      let caller = ask(flight)
      #expect(await eventually { gate.waiting == number })
      caller.cancel()
      _ = await failure(caller)
    }
    let error = await failure(ask(flight))
    #expect(
      error?.description.hasPrefix(
        "no value for a: 4 executions have been cancelled and have not returned") == true)
    gate.open()
    #expect(await eventually { flight.count.abandoned == 0 })
    #expect(try await flight.value(for: "a", deadline: Self.long) == 1)
  }

  // MARK: 3

  @Test("3. The shared work's deadline is the latest of its callers', not the first's")
  func latestDeadline() async throws {
    let clock = ManualClock()
    let (gate, cancelled) = (Signal(), Tally())
    let flight = Flight(clock: clock) { _ in
      do { try await gate.wait() } catch {
        cancelled.add()
        throw error
      }
      return 7
    }
    let early = ask(flight, deadline: .seconds(1))
    #expect(await eventually { flight.count.waiters == 1 && clock.sleepers == 1 })
    let late = ask(flight, deadline: .seconds(9))
    #expect(await eventually { flight.count.waiters == 2 })
    clock.advance(by: .seconds(2))
    _ = await failure(early)
    #expect(cancelled.value == 0 && flight.count.executions == 1)
    gate.open()
    #expect(try await late.value == 7)
    #expect(cancelled.value == 0)
  }

  // MARK: 4

  @Test("4. A failure reaches all present callers and is not cached; a later caller starts anew")
  func failures() async throws {
    let (gate, executions) = (Signal(), Tally())
    let flight = Flight(.caching) { _ in
      let number = executions.add()
      try await gate.wait()
      if number == 1 { throw Broken() }
      return number
    }
    let callers = (0..<10).map { _ in ask(flight) }
    #expect(await eventually { flight.count.waiters == 10 })
    gate.open()
    for caller in callers {
      guard case .failed("a", let cause)? = await failure(caller) else {
        Issue.record("it does not say that it has failed")
        return
      }
      #expect(cause as? Broken == Broken())
    }
    #expect(try await flight.value(for: "a", deadline: Self.long) == 2)
  }

  @Test("4. A cancellation is never cached")
  func cancellationIsNotCached() async throws {
    let (gate, executions) = (Signal(), Tally())
    let flight = Flight(.caching) { _ in
      executions.add()
      try await gate.wait()
      return 3
    }
    let caller = ask(flight)
    #expect(await eventually { executions.value == 1 })
    caller.cancel()
    _ = await failure(caller)
    gate.open()
    #expect(try await flight.value(for: "a", deadline: Self.long) == 3)
    #expect(executions.value == 2)
  }

  @Test("4. A later caller starts anew, with jittered back-off if asked (1 ms, x1.2, cap 15 s)")
  func backOff() async throws {
    let backOff = BackOff()
    #expect(backOff.delay(after: 1, chance: 1) == .milliseconds(1))
    #expect(backOff.delay(after: 1, chance: 0) == .microseconds(500))
    #expect(abs(backOff.delay(after: 2, chance: 1) / .microseconds(1) - 1_200) < 1)
    #expect(abs(backOff.delay(after: 3, chance: 1) / .microseconds(1) - 1_440) < 1)
    #expect(backOff.delay(after: 1_000_000, chance: 1) == .seconds(15))
    #expect(backOff.delay(after: 1_000_000, chance: 0) == .milliseconds(7_500))

    let clock = ManualClock()
    let executions = Tally()
    var settings = SingleFlightSettings()
    settings.backOff = BackOff()
    settings.backOff?.first = .seconds(2)
    let flight = Flight(
      settings, clock: clock, chance: { 0.5 },
      fetch: { _ in
        if executions.add() == 1 { throw Broken() }
        return 1
      })
    _ = await failure(ask(flight))
    let impatient = ask(flight, deadline: .seconds(1))
    #expect(await eventually { flight.count.waiters == 1 && clock.sleepers == 1 })
    clock.advance(by: .seconds(1))
    guard case .timedOut(_, _, isRunning: false)? = await failure(impatient) else {
      Issue.record("it does not say that it backs off")
      return
    }
    let patient = ask(flight)
    #expect(await eventually { flight.count.waiters == 1 && clock.sleepers == 1 })
    #expect(executions.value == 1)
    clock.advance(by: .milliseconds(500))
    #expect(try await patient.value == 1)
    #expect(executions.value == 2)
    #expect(flight.core.entries == 0)
  }

  // MARK: 5

  @Test("5. A timed-out lookup surfaces as an error; it never degrades into \"no credentials\"")
  func noCredentials() async throws {
    let clock = ManualClock()
    let flight = SingleFlight<String, String?>(clock: clock) { _ in
      try await Signal().wait()
      return nil
    }
    let caller = Task { try await flight.value(for: "jo", deadline: .seconds(5)) }
    #expect(await eventually { flight.count.waiters == 1 && clock.sleepers == 1 })
    clock.advance(by: .seconds(5))
    let error = await #expect(throws: SingleFlightError.self) { try await caller.value }
    #expect(
      error?.description
        == "no value for jo after 5.00 s: its execution has not finished; see what it waits for, "
        + "or wait longer")
  }

  // MARK: 6

  @Test("6. A key stuck for ever delays no other key: an unrelated key answers while one hangs")
  func unrelatedKey() async throws {
    let flight = Flight { key in
      if key == "stuck" { try await Signal().wait() }
      return 1
    }
    let stuck = ask(flight, "stuck")
    #expect(await eventually { flight.count.waiters == 1 })
    let duration = try await ContinuousClock().measure {
      let value = try await flight.value(for: "other", deadline: Self.long)
      #expect(value == 1)
    }
    print("an unrelated key answered after \(duration) while one hung")
    #expect(flight.count == SingleFlightCount(executions: 1, abandoned: 0, values: 0, waiters: 1))
    stuck.cancel()
    _ = await failure(stuck)
  }

  @Test("7. Every external call is bounded by 30 s")
  func executionLimit() async throws {
    #expect(SingleFlightSettings().executionLimit == .seconds(30))
    let clock = ManualClock()
    let flight = Flight(clock: clock) { _ in
      try await Signal().wait()
      return 1
    }
    let caller = ask(flight)
    #expect(await eventually { flight.count.waiters == 1 && clock.sleepers == 1 })
    clock.advance(by: .seconds(30))
    let error = await failure(caller)
    #expect(
      error?.description
        == "no value for a: its execution was cancelled after 30.00 s, the most that the settings "
        + "allow; see what it waits for")
    #expect(await eventually { flight.count.abandoned == 0 })
  }
}

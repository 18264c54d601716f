import FDCoordination
import TestKit
import Testing

/// The statement about the cache of a `SingleFlight`, which says several things.
@Suite("SingleFlight's cache")
struct SingleFlightCacheTests {
  typealias Flight = SingleFlight<String, Int>

  private static let long = Duration.seconds(60)

  /// A clock, a flight on it whose values are numbered, and how many executions it has begun.
  private struct Stage {
    let clock = ManualClock()
    let executions = Tally()
    let flight: Flight

    init(
      _ settings: SingleFlightSettings = .caching, lifetime: Duration? = .seconds(1_000),
      fetch: (@Sendable (Int) async throws -> Int)? = nil,
      mayForget: (@Sendable (String, Int) async throws -> Bool)? = nil
    ) {
      let executions = executions
      flight = Flight(
        settings, lifetime: { _ in lifetime }, mayForget: mayForget, clock: clock,
        fetch: { _ in
          let number = executions.add()
          return try await fetch?(number) ?? number
        })
    }

    func value(_ key: String = "a") async throws -> Int {
      try await flight.value(for: key, deadline: .seconds(60))
    }

    /// Moves the clock when the timer sleeps, as it does when something is due some time.
    func advance(by duration: Duration) async {
      #expect(await eventually { clock.sleepers > 0 })
      clock.advance(by: duration)
    }
  }

  @Test("7. A token is used until issued + 0.9 x lifetime")
  func lifetime() async throws {
    var settings = SingleFlightSettings.caching
    settings.refreshShare = 1
    let stage = Stage(settings)
    #expect(try await stage.value() == 1)
    stage.clock.advance(by: .milliseconds(899_999))
    #expect(try await stage.value() == 1)
    stage.clock.advance(by: .milliseconds(1))
    #expect(try await stage.value() == 2)
  }

  @Test("7. Unknown lifetime: 60 s")
  func unknownLifetime() async throws {
    var settings = SingleFlightSettings.caching
    settings.refreshShare = 1
    let stage = Stage(settings, lifetime: nil)
    #expect(try await stage.value() == 1)
    stage.clock.advance(by: .milliseconds(53_999))
    #expect(try await stage.value() == 1)
    stage.clock.advance(by: .milliseconds(1))
    #expect(try await stage.value() == 2)
  }

  @Test("7. A token is issued when its execution begins, however long that takes")
  func issued() async throws {
    let gate = Signal()
    let stage = Stage(lifetime: .seconds(20)) { number in
      if number == 1 { try await gate.wait() }
      return number
    }
    let caller = Task { try await stage.value() }
    #expect(await eventually { gate.waiting == 1 })
    stage.clock.advance(by: .seconds(18))
    gate.open()
    #expect(try await caller.value == 1)
    #expect(stage.flight.count.values == 0)
  }

  @Test("7. Refreshed before expiry: callers get the old value meanwhile")
  func refreshed() async throws {
    let gate = Signal()
    let stage = Stage { number in
      if number == 2 { try await gate.wait() }
      return number
    }
    #expect(try await stage.value() == 1)
    stage.clock.advance(by: .seconds(720))
    for _ in 0..<3 { #expect(try await stage.value() == 1) }
    #expect(await eventually { gate.waiting == 1 })
    #expect(stage.executions.value == 2 && stage.flight.count.waiters == 0)
    gate.open()
    #expect(await eventually { stage.flight.count.executions == 0 })
    #expect(try await stage.value() == 2)
    #expect(stage.executions.value == 2)
  }

  @Test("7. A refresh that fails leaves the value until its expiry, and never after it")
  func refreshFails() async throws {
    let stage = Stage { number in
      if number > 1 { throw Broken() }
      return number
    }
    #expect(try await stage.value() == 1)
    stage.clock.advance(by: .seconds(720))
    #expect(try await stage.value() == 1)
    #expect(await eventually { stage.executions.value == 2 && stage.flight.count.executions == 0 })
    #expect(try await stage.value() == 1)
    #expect(stage.executions.value == 2)
    stage.clock.advance(by: .seconds(180))
    await #expect(throws: SingleFlightError.self) { try await stage.value() }
  }

  @Test("7. An already cancelled caller still gets a value that is kept")
  func cancelledCaller() async throws {
    let stage = Stage()
    #expect(try await stage.value() == 1)
    let task = Task {
      try? await Signal().wait()
      #expect(Task.isCancelled)
      let value = try await stage.value()
      await #expect(throws: SingleFlightError.self) { try await stage.value("b") }
      return value
    }
    task.cancel()
    #expect(try await task.value == 1)
    #expect(stage.executions.value == 1)
  }

  @Test("7. Bounded in size: the value used longest ago goes first")
  func bounded() async throws {
    var settings = SingleFlightSettings.caching
    settings.capacity = 2
    let stage = Stage(settings)
    #expect(try await stage.value("a") == 1)
    #expect(try await stage.value("b") == 2)
    #expect(try await stage.value("a") == 1)
    #expect(try await stage.value("c") == 3)
    #expect(stage.flight.count.values == 2)
    #expect(try await stage.value("a") == 1)
    #expect(try await stage.value("b") == 4)
  }

  @Test("7. Failures to back off from are bounded in number too")
  func boundedFailures() async throws {
    var settings = SingleFlightSettings.caching
    settings.capacity = 2
    settings.backOff = BackOff()
    let stage = Stage(settings) { _ in throw Broken() }
    for number in 0..<10 {
      await #expect(throws: SingleFlightError.self) { try await stage.value("\(number)") }
    }
    #expect(stage.flight.core.entries == 2)
  }

  @Test("7. Collection defaults: idle > 10 min, every 5 min")
  func collection() async throws {
    let settings = SingleFlightSettings.caching
    #expect(settings.idleLimit == .seconds(600) && settings.collectionInterval == .seconds(300))
    let stage = Stage(lifetime: .seconds(100_000))
    #expect(try await stage.value("idle") == 1)
    #expect(try await stage.value("busy") == 2)
    await stage.advance(by: .seconds(300))
    #expect(await eventually { stage.clock.sleepers > 0 })
    #expect(try await stage.value("busy") == 2)
    await stage.advance(by: .seconds(300))
    #expect(await eventually { stage.flight.count.values == 1 })
    #expect(try await stage.value("busy") == 2)
  }

  @Test("7. Collection is: snapshot, validate with no lock held, delete only if still unused")
  func usedMeanwhile() async throws {
    let (gate, asked) = (Signal(), Tally())
    let stage = Stage(
      lifetime: .seconds(100_000),
      mayForget: { _, _ in
        asked.add()
        try await gate.wait()
        return true
      })
    #expect(try await stage.value() == 1)
    await stage.advance(by: .seconds(600))
    #expect(await eventually { asked.value == 1 })
    // The question hangs, and holds nobody.
    #expect(try await stage.value() == 1)
    gate.open()
    #expect(await eventually { !stage.flight.core.isCollecting })
    #expect(stage.flight.count.values == 1)
    #expect(stage.executions.value == 1)
  }

  @Test("7. Delete only if it is still the same entry")
  func replacedMeanwhile() async throws {
    let (gate, asked) = (Signal(), Tally())
    let stage = Stage(
      lifetime: .seconds(100_000),
      mayForget: { _, _ in
        asked.add()
        try await gate.wait()
        return true
      })
    #expect(try await stage.value() == 1)
    await stage.advance(by: .seconds(600))
    #expect(await eventually { asked.value == 1 })
    stage.flight.forget("a")
    #expect(try await stage.value() == 2)
    gate.open()
    #expect(await eventually { !stage.flight.core.isCollecting })
    #expect(try await stage.value() == 2)
    #expect(stage.executions.value == 2)
  }

  @Test("7. A value that may not be forgotten stays, also if the question fails or takes too long")
  func kept() async throws {
    let stage = Stage(
      lifetime: .seconds(100_000),
      mayForget: { key, _ in
        switch key {
        case "no": return false
        case "fails": throw Broken()
        default: return true
        }
      })
    for key in ["no", "fails", "yes"] { _ = try await stage.value(key) }
    await stage.advance(by: .seconds(600))
    #expect(await eventually { stage.flight.count.values == 2 && !stage.flight.core.isCollecting })
  }

  @Test("7. A question that hangs is given up after 30 s, and the next collection comes")
  func hangingQuestion() async throws {
    let (gate, asked) = (Signal(), Tally())
    let stage = Stage(
      lifetime: .seconds(100_000),
      mayForget: { _, _ in
        if asked.add() == 1 { await gate.waitIgnoringCancellation() }
        return true
      })
    #expect(try await stage.value() == 1)
    await stage.advance(by: .seconds(600))
    #expect(await eventually { asked.value == 1 && stage.clock.sleepers == 1 })
    stage.clock.advance(by: .seconds(30))
    #expect(await eventually { stage.clock.sleepers == 1 })
    #expect(stage.flight.count.values == 1)
    stage.clock.advance(by: .seconds(300))
    #expect(await eventually { stage.flight.count.values == 0 })
    gate.open()
  }

  @Test("7. forget takes the value that is no good: its successor stays")
  func forget() async throws {
    let stage = Stage()
    #expect(try await stage.value() == 1)
    stage.flight.forget("a") { $0 == 1 }
    #expect(try await stage.value() == 2)
    stage.flight.forget("a") { $0 == 1 }
    #expect(try await stage.value() == 2)
    #expect(stage.executions.value == 2)
  }
}

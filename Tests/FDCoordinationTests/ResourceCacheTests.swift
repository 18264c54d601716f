import FDCoordination
import TestKit
import Testing

/// The statements about `ResourceCache`, by their numbers; those about its end and the incident are
/// in `ResourceCacheEndTests`.
@Suite("ResourceCache")
struct ResourceCacheTests {
  private static let long = Duration.seconds(60)

  private func use(_ stage: ResourceStage, _ key: String) async throws -> Int {
    try await stage.cache.withResource(key, deadline: Self.long) { $0.number }
  }

  // MARK: 1

  @Test(
    "1. start and stop of a resource run with no lock held: has(key) answers while either blocks, and so does every other key"
  )
  func noLockHeld() async throws {
    let stage = ResourceStage(capacity: 2)
    let (start, stop) = (stage.hold(startOf: "slow"), stage.hold(stopOf: "old"))
    _ = try await use(stage, "old")
    stage.cache.evict("old")
    let caller = Task { try await use(stage, "slow") }
    #expect(await eventually { start.waiting == 1 && stop.waiting == 1 })
    let duration = try await ContinuousClock().measure {
      #expect(!stage.cache.has("slow") && !stage.cache.has("old") && !stage.cache.has("other"))
      _ = try await use(stage, "other")
      #expect(stage.cache.has("other"))
    }
    print("another key answered after \(duration) while a start and a stop blocked")
    #expect(stage.cache.count.starting == 1 && stage.cache.count.stopping == 1)
    start.open()
    stop.open()
    _ = try await caller.value
    try await stage.end()
  }

  // MARK: 2

  @Test("2. N concurrent callers for one key: exactly one start, all get the same instance")
  func oneStart() async throws {
    let stage = ResourceStage()
    let gate = stage.hold(startOf: "a")
    let callers = (0..<100).map { _ in Task { try await use(stage, "a") } }
    #expect(await eventually { stage.cache.count.waiters == 100 })
    gate.open()
    for caller in callers { #expect(try await caller.value == 1) }
    #expect(stage.starts.value == 1)
    try await stage.end()
  }

  @Test("2. Creation is serialised per key, not globally")
  func perKey() async throws {
    let stage = ResourceStage()
    let gates = ["a", "b", "c"].map { stage.hold(startOf: $0) }
    let callers = ["a", "b", "c", "a"].map { key in Task { try await use(stage, key) } }
    #expect(await eventually { gates.allSatisfy { $0.waiting == 1 } })
    #expect(stage.cache.count.starting == 3)
    for gate in gates { gate.open() }
    for caller in callers { _ = try await caller.value }
    #expect(stage.starts.value == 3)
    try await stage.end()
  }

  @Test("2. Who goes away leaves the start to those who stay, and its resource to those who come")
  func cancelledCaller() async throws {
    let stage = ResourceStage()
    let gate = stage.hold(startOf: "a")
    let (gone, patient) = (Task { try await use(stage, "a") }, Task { try await use(stage, "a") })
    #expect(await eventually { stage.cache.count.waiters == 2 })
    gone.cancel()
    await #expect(throws: ResourceCacheError.self) { try await gone.value }
    #expect(stage.cache.count.waiters == 1)
    gate.open()
    #expect(try await patient.value == 1)
    #expect(try await use(stage, "a") == 1)
    try await stage.end()
  }

  @Test("2. A caller leaves at its own deadline, and the error says what it waited for")
  func deadline() async throws {
    let clock = ManualClock()
    let stage = ResourceStage(clock: clock)
    let gate = stage.hold(startOf: "a")
    let caller = Task { try await stage.cache.lease("a", deadline: .seconds(3)).end() }
    #expect(await eventually { stage.cache.count.waiters == 1 && clock.sleepers == 1 })
    clock.advance(by: .seconds(3))
    let error = await #expect(throws: ResourceCacheError.self) { try await caller.value }
    #expect(
      error?.description
        == "no resource a after 3.00 s: its start has not finished; see what that waits for, or "
        + "wait longer")
    #expect(stage.cache.count.waiters == 0)
    gate.open()
    try await stage.end()
  }

  // MARK: 3

  @Test("3. Capacity (default 10), least recently used out first")
  func capacity() async throws {
    let stage = ResourceStage()
    for number in 0..<10 { _ = try await use(stage, "\(number)") }
    #expect(stage.cache.count.kept == 10)
    _ = try await use(stage, "0")
    _ = try await use(stage, "ten")
    #expect(!stage.cache.has("1") && stage.cache.has("0") && stage.cache.has("ten"))
    #expect(await eventually { stage.stopped.value == ["1"] })
    #expect(stage.cache.count.kept == 10)
    try await stage.end()
  }

  @Test("3. The victim leaves the map under the lock; its stop runs after")
  func victim() async throws {
    let stage = ResourceStage(capacity: 1)
    let gate = stage.hold(stopOf: "a")
    _ = try await use(stage, "a")
    _ = try await use(stage, "b")
    #expect(await eventually { gate.waiting == 1 })
    #expect(!stage.cache.has("a") && stage.cache.has("b") && stage.stopped.value.isEmpty)
    gate.open()
    #expect(await eventually { stage.stopped.value == ["a"] })
    try await stage.end()
  }

  // MARK: 4

  @Test(
    "4. A start that failed inserts nothing and releases what it took; the callers get the error; the next caller tries again"
  )
  func failedStart() async throws {
    let stage = ResourceStage()
    let gate = stage.hold(startOf: "a")
    stage.failures.value = ["a"]
    let callers = (0..<10).map { _ in Task { try await use(stage, "a") } }
    #expect(await eventually { stage.cache.count.waiters == 10 })
    gate.open()
    for caller in callers {
      let error = await #expect(throws: ResourceCacheError.self) { try await caller.value }
      guard case .failed("a", let cause)? = error else {
        Issue.record("it does not say that the start has failed")
        return
      }
      #expect(cause as? Broken == Broken())
    }
    #expect(!stage.cache.has("a"))
    #expect(stage.cache.count == ResourceStage.nothing)
    #expect(try await use(stage, "a") == 2)
    try await stage.end()
  }

  // MARK: 6

  @Test(
    "6. A key evicted while somebody still uses it: the user keeps a lease; stop runs when the last lease is gone"
  )
  func lease() async throws {
    let stage = ResourceStage(capacity: 1)
    let lease = try await stage.cache.lease("a", deadline: Self.long)
    try await stage.cache.withResource("a", deadline: Self.long) { resource in
      _ = try await use(stage, "b")
      #expect(!stage.cache.has("a") && stage.cache.has("b"))
      #expect(resource.isRunning)
    }
    #expect(stage.cache.count.retired == 1 && stage.cache.count.leases == 1)
    #expect(lease.resource.isRunning && stage.stopped.value.isEmpty)
    lease.end()
    #expect(await eventually { stage.stopped.value == ["a"] })
    try await stage.end()
  }

  @Test("6. Every way out of withResource gives the lease back")
  func leasesEnd() async throws {
    let stage = ResourceStage()
    await #expect(throws: Broken.self) {
      try await stage.cache.withResource("a", deadline: Self.long) { _ in throw Broken() }
    }
    let task = Task {
      try await stage.cache.withResource("a", deadline: Self.long) { _ in try await Signal().wait()
      }
    }
    #expect(await eventually { stage.cache.count.leases == 1 })
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(stage.cache.count.leases == 0)
    try await stage.end()
  }

  // MARK: 7

  @Test("7. A key asked for again while its evicted instance is still leased revives that instance")
  func revived() async throws {
    let stage = ResourceStage()
    let lease = try await stage.cache.lease("a", deadline: Self.long)
    stage.cache.evict("a")
    #expect(!stage.cache.has("a"))
    #expect(try await use(stage, "a") == lease.resource.number)
    #expect(stage.cache.has("a"))
    lease.end()
    #expect(stage.cache.has("a") && stage.stopped.value.isEmpty && stage.starts.value == 1)
    try await stage.end()
  }

  @Test("7. Never a lease that waits for itself")
  func nested() async throws {
    let stage = ResourceStage(capacity: 1)
    try await stage.cache.withResource("a", deadline: Self.long) { outer in
      _ = try await use(stage, "b")
      try await stage.cache.withResource("a", deadline: Self.long) { inner in
        #expect(inner === outer)
      }
    }
    try await stage.end()
  }

  @Test(
    "7. Only a stop that has begun is waited for, with a deadline, and without blocking other keys")
  func waitsForStop() async throws {
    let clock = ManualClock()
    let stage = ResourceStage(clock: clock)
    let gate = stage.hold(stopOf: "a")
    _ = try await use(stage, "a")
    stage.cache.evict("a")
    #expect(await eventually { gate.waiting == 1 })
    let impatient = Task { try await stage.cache.lease("a", deadline: .seconds(2)).end() }
    #expect(await eventually { stage.cache.count.waiters == 1 && clock.sleepers == 1 })
    clock.advance(by: .seconds(2))
    let error = await #expect(throws: ResourceCacheError.self) { try await impatient.value }
    #expect(
      error?.description
        == "no resource a after 2.00 s: the one before has not stopped; see what its stop waits for"
    )
    let patient = Task { try await use(stage, "a") }
    #expect(await eventually { stage.cache.count.waiters == 1 })
    #expect(try await use(stage, "b") == 2)
    gate.open()
    #expect(try await patient.value == 3)
    try await stage.end()
  }

  @Test("7. Never two live instances of a key")
  func oneInstance() async throws {
    let stage = ResourceStage(capacity: 2)
    await withTaskGroup { group in
      for caller in 0..<20 {
        group.addTask {
          var random = SeededRandom(seed: UInt64(caller))
          for _ in 0..<100 {
            let key = "\(random.next() % 4)"
            let isRunning = try? await stage.cache.withResource(key, deadline: Self.long) {
              await Task.yield()
              return $0.isRunning
            }
            #expect(isRunning == true)
            if random.next() % 4 == 0 { stage.cache.evict(key) }
          }
        }
      }
    }
    #expect(stage.violations.value.isEmpty)
    try await stage.end()
  }
}

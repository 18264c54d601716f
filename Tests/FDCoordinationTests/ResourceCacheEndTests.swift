import FDCoordination
import TestKit
import Testing

/// The statements about the end of a `ResourceCache`, and about the incident that it answers.
@Suite("ResourceCache's end")
struct ResourceCacheEndTests {
  private static let long = Duration.seconds(60)

  private func use(_ stage: ResourceStage, _ key: String) async throws -> Int {
    try await stage.cache.withResource(key, deadline: Self.long) { $0.number }
  }

  // MARK: 5

  @Test(
    "5. shutdown waits for starts in flight, stops everything once, refuses new starts; idempotent")
  func shutDown() async throws {
    let stage = ResourceStage()
    for key in ["a", "b"] { _ = try await use(stage, key) }
    let gate = stage.hold(startOf: "c")
    let caller = Task { try await use(stage, "c") }
    #expect(await eventually { gate.waiting == 1 })
    let ends = (0..<2).map { _ in Task { try await stage.cache.shutDown(deadline: Self.long) } }
    let error = await #expect(throws: ResourceCacheError.self) { try await caller.value }
    #expect(error?.description.contains("the cache was shut down") == true)
    #expect(await eventually { stage.cache.count.waiters == 2 })
    #expect(
      await eventually { stage.stopped.value == ["a", "b"] || stage.stopped.value == ["b", "a"] })
    #expect(stage.cache.count.starting == 1)
    gate.open()
    for end in ends { try await end.value }
    #expect(stage.stopped.value.sorted() == ["a", "b", "c"])
    await #expect(throws: ResourceCacheError.self) { try await use(stage, "d") }
    try await stage.cache.shutDown(deadline: .zero)
    #expect(stage.stopped.value.count == 3 && stage.starts.value == 3)
    #expect(stage.violations.value.isEmpty)
  }

  @Test("5. Nothing is ever inserted after shutdown")
  func nothingInserted() async throws {
    let stage = ResourceStage()
    let gate = stage.hold(startOf: "a")
    let caller = Task { try await use(stage, "a") }
    #expect(await eventually { gate.waiting == 1 })
    caller.cancel()
    await #expect(throws: ResourceCacheError.self) { try await caller.value }
    let end = Task { try await stage.cache.shutDown(deadline: Self.long) }
    #expect(await eventually { stage.cache.count.waiters == 1 })
    gate.open()
    try await end.value
    #expect(!stage.cache.has("a"))
    #expect(stage.stopped.value == ["a"] && stage.cache.count == ResourceStage.nothing)
  }

  @Test("5. shutdown has a deadline, and says what is left; that ends when it can")
  func deadline() async throws {
    let clock = ManualClock()
    let stage = ResourceStage(clock: clock)
    let lease = try await stage.cache.lease("a", deadline: Self.long)
    let end = Task { try await stage.cache.shutDown(deadline: .seconds(5)) }
    #expect(await eventually { stage.cache.count.waiters == 1 && clock.sleepers > 0 })
    clock.advance(by: .seconds(5))
    let error = await #expect(throws: ResourceCacheError.self) { try await end.value }
    #expect(
      error?.description
        == "after 5.00 s the cache has not come to its end: 0 starts, 1 leases and 0 stops are "
        + "left; see what they wait for")
    #expect(lease.resource.isRunning)
    lease.end()
    try await stage.end()
    #expect(stage.stopped.value == ["a"])
  }

  // MARK: 8

  @Test(
    "8. A reader holds a store's read lock, the start needs its write lock; lookups go on and everything finishes when the reader lets go"
  )
  func incident() async throws {
    let store = Store()
    let cache = ResourceCache<String, Int> { _ in
      await store.write()
      return 1
    } stop: { _, _ in
    }
    let outcome = await store.readLocked { () -> Task<Int, any Error> in
      let caller = Task { try await cache.withResource("a", deadline: Self.long) { $0 } }
      #expect(await eventually { store.writers == 1 })
      let duration = ContinuousClock().measure {
        for _ in 0..<1_000 { #expect(!cache.has("a") && !cache.has("b")) }
      }
      print("1,000 lookups took \(duration) while a start waited for the store's write lock")
      #expect(store.writers == 1)
      return caller
    }
    #expect(try await outcome.value == 1)
    #expect(cache.has("a"))
    try await cache.shutDown(deadline: Self.long)
  }

  @Test("8. Also through the eviction path: the stop of a victim needs the write lock")
  func incidentOfEviction() async throws {
    let store = Store()
    let cache = ResourceCache<String, Int>(capacity: 1) {
      $0.count
    } stop: { _, _ in
      await store.write()
    }
    try await cache.withResource("a", deadline: Self.long) { _ in }
    await store.readLocked {
      // This one's start pushes the other out, whose stop has to wait for this reader.
      let value = try? await cache.withResource("bb", deadline: Self.long) { $0 }
      #expect(value == 2)
      #expect(await eventually { store.writers == 1 })
      let duration = ContinuousClock().measure {
        for _ in 0..<1_000 { #expect(!cache.has("a") && cache.has("bb")) }
      }
      print("1,000 lookups took \(duration) while a stop waited for the store's write lock")
    }
    try await cache.withResource("a", deadline: Self.long) { _ in }
    try await cache.shutDown(deadline: Self.long)
    #expect(store.writes == 3)
  }
}

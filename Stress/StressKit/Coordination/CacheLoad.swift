import FDCoordination
import FDDelays
import Synchronization

/// A resource that knows whether it runs.
private final class StressResource: Sendable {
  let key: Int
  private let running = Atomic<Bool>(true)

  init(_ key: Int) { self.key = key }

  var isRunning: Bool { running.load(ordering: .acquiring) }

  /// - Returns: false if it was stopped before.
  func stop() -> Bool { running.exchange(false, ordering: .acquiringAndReleasing) }
}

/// Users of more resources than there is room for. Callable from any thread.
final class CacheLoad: Sendable {
  private struct Failure: Error {}

  private let stage: Stage
  private let cache: ResourceCache<Int, StressResource>
  private let uses: Tally
  private let failures: Tally
  private let ended = Tally()

  init(_ stage: Stage) {
    self.stage = stage
    uses = stage.count("resources used")
    failures = stage.count("resources waited for in vain")
    let instances = stage.ledger("every resource that is started is stopped")
    let live = KeyCounts()
    cache = ResourceCache(
      capacity: 3,
      start: { key in
        if live.add(key) > 1 {
          stage.violate("one instance per key", "key \(key) has two")
        }
        try? await Task.sleep(for: .microseconds(50 * (key % 4)))
        if instances.incoming.count % 16 == 15, key % 2 == 0 {
          instances.open()
          instances.close()
          live.add(key, -1)
          throw Failure()
        }
        instances.open()
        return StressResource(key)
      },
      stop: { key, resource in
        try? await Task.sleep(for: .microseconds(50 * (key % 3)))
        if !resource.stop() { stage.violate("a resource is stopped once", "key \(key)") }
        instances.close()
        live.add(key, -1)
      })
  }

  func use(_ random: inout SplitMix) async {
    let key = Int(random.next() % 8)
    let deadline = Duration.microseconds(random.next() % 2_000)
    let task = Task { [cache, stage] in
      try await cache.withResource(key, deadline: deadline) { resource in
        await Task.yield()
        if !resource.isRunning || resource.key != key {
          stage.violate("what is leased runs", "key \(key), \(resource.key)")
        }
      }
    }
    if random.next() % 4 == 0 {
      await Task.yield()
      task.cancel()
    }
    if random.next() % 8 == 0 { cache.evict(key) }
    switch await task.result {
    case .success: uses.add()
    case .failure: failures.add()
    }
  }

  func end() {
    let patience = stage.parameters.patience
    Task.detached { [self] in
      do { try await cache.shutDown(deadline: patience) } catch {
        stage.violate("the cache comes to its end", "\(error)")
      }
      ended.add()
    }
    stage.wait(for: "the cache does not come to its end") { ended.count == 1 }
  }
}

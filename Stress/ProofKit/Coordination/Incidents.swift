import FDCoordination
import Interleave

// The shapes that took servers down, as test subjects: each goes wrong under the explorer, where the
// primitive that answers it does not.

/// A cache as it is often written: its lock is held while it starts and stops what it keeps.
private final class CacheThatHoldsItsLock: @unchecked Sendable {
  private let lock = ModelMutex(named: "the cache's lock")
  private var resource: Int?

  func has() -> Bool { lock.withLock { resource != nil } }

  func use(start: () -> Int) -> Int {
    lock.withLock {
      let resource = resource ?? start()
      self.resource = resource
      return resource
    }
  }

  func evict(stop: (Int) -> Void) {
    lock.withLock {
      if let resource { stop(resource) }
      resource = nil
    }
  }
}

/// The incidents, by their names.
enum Incidents {
  static let all: [ProofScenario] = [
    lockHeld("incident:lock-held-across-start", isEviction: false),
    lockHeld("incident:lock-held-across-stop", isEviction: true),
    RegistryScenario(roles: [.stranger, .agent, .timer], defect: .broadcast)
      .scenario(named: "incident:broadcast-wake-up"),
    RegistryScenario(roles: [.agent, .cleanUp], defect: .cleanUpByID)
      .scenario(named: "incident:clean-up-by-id"),
  ]

  /// A reader holds a store's lock and looks a key up, while a start or a stop needs that lock. The
  /// answer to it is `cache:2:user+reader`, and `cache:2:user+evict+reader`.
  private static func lockHeld(_ name: String, isEviction: Bool) -> ProofScenario {
    ProofScenario(name, threads: 2, models: [.sequentiallyConsistent]) {
      { setup in
        let store = ModelMutex(named: "the store's lock")
        let cache = CacheThatHoldsItsLock()
        if isEviction { _ = cache.use { 1 } }
        setup.thread("reader") { store.withLock { _ = cache.has() } }
        setup.thread("user") {
          if isEviction {
            cache.evict { _ in store.withLock {} }
          } else {
            _ = cache.use {
              store.withLock {}
              return 1
            }
          }
        }
      }
    }
  }
}

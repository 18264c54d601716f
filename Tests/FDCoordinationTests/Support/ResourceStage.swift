import FDCoordination
import TestKit

/// What a cache starts and stops in tests.
final class TestResource: Sendable {
  let key: String
  /// Counted by the stage from 1.
  let number: Int
  private let running = Guarded(true)

  init(_ key: String, _ number: Int) {
    self.key = key
    self.number = number
  }

  var isRunning: Bool { running.value }

  /// - Returns: false if it has been stopped before.
  func stop() -> Bool {
    running.withLock { isRunning in
      defer { isRunning = false }
      return isRunning
    }
  }
}

/// A cache whose starts and stops are watched, and held where a test says so.
final class ResourceStage: Sendable {
  let cache: ResourceCache<String, TestResource>
  let starts: Tally
  /// In their order.
  let stopped: Guarded<[String]>
  /// The next start of each of these fails.
  let failures: Guarded<Set<String>>
  let violations: Guarded<[String]>
  private let startGates: Guarded<[String: Signal]>
  private let stopGates: Guarded<[String: Signal]>
  private let live: Guarded<[String: Int]>

  /// What an idle cache has.
  static let nothing = ResourceCacheCount(
    starting: 0, kept: 0, retired: 0, stopping: 0, leases: 0, waiters: 0)

  init(capacity: Int = 10, clock: any Clock<Duration> = ContinuousClock()) {
    let starts = Tally()
    let stopped = Guarded<[String]>([])
    let (failures, violations) = (Guarded<Set<String>>([]), Guarded<[String]>([]))
    let (startGates, stopGates) = (Guarded<[String: Signal]>([:]), Guarded<[String: Signal]>([:]))
    let live = Guarded<[String: Int]>([:])
    (self.starts, self.stopped, self.failures) = (starts, stopped, failures)
    (self.violations, self.startGates, self.stopGates) = (violations, startGates, stopGates)
    self.live = live
    cache = ResourceCache(capacity: capacity, clock: clock) { key in
      let number = starts.add()
      if let gate = startGates.withLock({ $0[key] }) { await gate.waitIgnoringCancellation() }
      let isBroken = failures.withLock { $0.remove(key) != nil }
      if isBroken { throw Broken() }
      let count = live.withLock { live in
        live[key, default: 0] += 1
        return live[key] ?? 0
      }
      if count > 1 { violations.withLock { $0.append("\(key) has \(count) instances") } }
      return TestResource(key, number)
    } stop: { key, resource in
      if let gate = stopGates.withLock({ $0[key] }) { await gate.waitIgnoringCancellation() }
      if !resource.stop() { violations.withLock { $0.append("\(key) is stopped twice") } }
      live.withLock { $0[key, default: 0] -= 1 }
      stopped.withLock { $0.append(key) }
    }
  }

  /// Starts of this key wait until the signal opens.
  func hold(startOf key: String) -> Signal {
    let gate = Signal()
    startGates.withLock { $0[key] = gate }
    return gate
  }

  /// Stops of this key wait until the signal opens.
  func hold(stopOf key: String) -> Signal {
    let gate = Signal()
    stopGates.withLock { $0[key] = gate }
    return gate
  }

  /// How many instances live.
  var instances: Int { live.withLock { $0.values.reduce(0, +) } }

  /// Shuts down; nothing must be left.
  func end() async throws {
    try await cache.shutDown(deadline: .seconds(60))
    let left = violations.value + (instances > 0 ? ["\(instances) instances are left"] : [])
    if !left.isEmpty { throw Broken(text: left.joined(separator: "; ")) }
  }
}

import FDCoordination
import FDDelays
import Synchronization

/// A session that knows its id.
private final class StressSession: RegisteredSession {
  let id: Int
  private let closed = Atomic<Bool>(false)

  init(_ id: Int) { self.id = id }

  var isClosed: Bool { closed.load(ordering: .acquiring) }
  func close() { closed.store(true, ordering: .releasing) }
  func registryDidShutDown() { close() }
}

/// Agents that come and go under a few ids, and clients that look for them. Callable from any thread.
final class RegistryLoad: Sendable {
  private let stage: Stage
  private let registry = SessionRegistry<Int, StressSession>()
  /// Open sessions.
  private let open = KeyCounts()
  private let activations: Tally
  private let found: Tally
  private let missed: Tally

  init(_ stage: Stage) {
    self.stage = stage
    activations = stage.count("sessions activated")
    found = stage.count("sessions found")
    missed = stage.count("sessions waited for in vain")
  }

  /// One stay of an agent.
  func serve(_ random: inout SplitMix) async {
    let id = Int(random.next() % 8)
    let (fails, pause, isLate) = (
      random.next() % 4 == 0, Duration.microseconds(random.next() % 500), random.next() % 2 == 0
    )
    let session = StressSession(id)
    do {
      let registration = try await registry.withReservation(id) { reservation in
        try await Task.sleep(for: pause)
        if fails { throw CancellationError() }
        let registration = try reservation.activate(session)
        if open.add(id) > 1 {
          stage.violate("one open session per id", "id \(id) has two")
        }
        return registration
      }
      activations.add()
      try? await Task.sleep(for: pause)
      open.add(id, -1)
      session.close()
      // By then there may be a successor.
      if isLate { try? await Task.sleep(for: pause) }
      registry.remove(registration)
    } catch {
      await Task.yield()
    }
  }

  /// One look of a client.
  func look(_ random: inout SplitMix) async {
    let id = Int(random.next() % 10)
    let deadline = Duration.microseconds(random.next() % 2_000)
    let task = Task { [registry] in try await registry.session(for: id, deadline: deadline) }
    if random.next() % 4 == 0 {
      await Task.yield()
      task.cancel()
    }
    switch await task.result {
    case .success(let session):
      found.add()
      if session.id != id {
        stage.violate("a session is found under its own id", "\(session.id) under \(id)")
      }
    case .failure: missed.add()
    }
  }

  func audit() {
    let count = registry.count
    if count != SessionRegistryCount(sessions: 0, reservations: 0, waiters: 0) {
      stage.violate("nothing is left in the registry", "\(count)")
    }
  }

  func end() { registry.shutDown() }
}

import CShims
import FDPoller
import Synchronization

/// What a wedge works with.
public final class WedgeStage: Sendable {
  let parameters: WedgeParameters
  /// The server's.
  let server: Poller
  /// The clients': what happens to the server's loops does not happen to the measurement.
  let clients: Poller
  /// Nil if none is asked for.
  let network: SeparateNetwork?
  let wedged = WedgedList()
  /// How the old shape guards what takes time. The new one has none.
  private let turnstile: Turnstile?
  private let turn = Atomic(0)

  init(
    _ parameters: WedgeParameters, server: Poller, clients: Poller, _ network: SeparateNetwork?
  ) {
    self.parameters = parameters
    self.server = server
    self.clients = clients
    self.network = network
    turnstile = parameters.shape == .incident ? Turnstile() : nil
  }

  /// The bound of whoever is wedged.
  var bound: Duration { parameters.bound }
  /// How long the server waits for something that is asked for.
  ///
  /// - Parameter isWedged: whether that is wedged. The others have time even on a machine that
  ///   stands still for a while; in the old shape nobody has a bound.
  func deadline(isWedged: Bool) -> Duration {
    if parameters.shape == .incident { return .seconds(3600) }
    return isWedged ? bound : max(bound, parameters.patience)
  }

  /// The loops of the clients in turn.
  func clientLoop(_ number: Int) -> EventLoop { clients.loops[number % clients.loops.count] }

  /// The loops of the server in turn.
  func nextServerLoop() -> EventLoop {
    let number = turn.add(1, ordering: .relaxed).oldValue
    return server.loops[number % server.loops.count]
  }

  /// Runs the body, in the old shape while everybody else waits.
  nonisolated(nonsending) func guarded<Result: ~Copyable>(
    _ body: nonisolated(nonsending) () async throws -> Result
  ) async rethrows -> Result {
    guard let turnstile else { return try await body() }
    await turnstile.enter()
    defer { turnstile.leave() }
    return try await body()
  }
}

/// A lock that tasks wait for, first come first served, held across whatever its holder awaits: what
/// stood in the place of the primitives when the incidents happened.
final class Turnstile: Sendable {
  private struct State {
    var isTaken = false
    var queue: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Kept(State())

  nonisolated(nonsending) func enter() async {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.isTaken { state.queue.append(continuation) }
        defer { state.isTaken = true }
        return !state.isTaken
      }
      if isFree { continuation.resume() }
    }
  }

  func leave() {
    let next = state.withLock { state in
      if state.queue.isEmpty { state.isTaken = false }
      return state.queue.isEmpty ? nil : state.queue.removeFirst()
    }
    next?.resume()
  }
}

/// A value that threads share, under a lock that ThreadSanitizer sees.
final class Kept<Value>: @unchecked Sendable {
  private let lock = PlatformLock()
  private var value: Value

  init(_ value: Value) { self.value = value }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    lock.withLock { body(&value) }
  }

  /// What is there, which it does not keep.
  func take<Element>() -> [Element] where Value == [Element] {
    withLock { value in
      defer { value = [] }
      return value
    }
  }
}

/// Waits until a condition holds.
///
/// - Returns: false if it does not within that time.
func waitUntil(
  within limit: Duration, _ condition: @Sendable () -> Bool
) async -> Bool {
  let end = ContinuousClock.now + limit
  while !condition() {
    guard ContinuousClock.now < end else { return condition() }
    try? await Task.sleep(for: .milliseconds(2))
  }
  return true
}

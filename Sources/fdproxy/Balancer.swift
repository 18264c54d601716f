import FDNet
import Synchronization

/// Which backend gets the next client.
enum Balance: String, CaseIterable, Sendable {
  case roundRobin = "round-robin"
  /// The one with the fewest sessions; among equals, in turn.
  case leastConnections = "least-connections"
}

/// A server that clients are forwarded to.
final class Backend: Sendable {
  let name: String
  let endpoints: [Endpoint]
  /// The endpoint that answered last: the first to be tried.
  let preferred = Atomic(0)
  /// Sessions that are connected or about to be.
  let sessions = Atomic(0)
  let connected = Atomic(0)
  let failures = Atomic(0)

  init(_ address: NamedAddress) {
    name = address.name
    endpoints = address.addresses.map(Endpoint.init)
  }
}

/// One address of a backend.
final class Endpoint: Sendable {
  let address: SocketAddress
  /// Connections on their way to the idle pool.
  let sparesInTheMaking = Atomic(0)

  init(_ address: SocketAddress) { self.address = address }
}

/// Chooses backends. Callable from any thread.
final class Balancer: Sendable {
  let backends: [Backend]
  private let balance: Balance
  private let turn = Atomic(0)

  init(_ backends: [Backend], _ balance: Balance) {
    self.backends = backends
    self.balance = balance
  }

  /// The endpoints for one client, in the order in which to try them: each of every backend, once.
  func candidates() -> Candidates {
    let turn = turn.wrappingAdd(1, ordering: .relaxed).oldValue
    let next = Int(UInt(bitPattern: turn) % UInt(backends.count))
    switch balance {
    case .roundRobin:
      return Candidates(of: backends, from: next)
    case .leastConnections:
      return Candidates(of: backends, from: leastLoaded(from: next))
    }
  }

  private func leastLoaded(from start: Int) -> Int {
    var best = (index: start, sessions: Int.max)
    for step in 0..<backends.count {
      let index = (start + step) % backends.count
      let sessions = backends[index].sessions.load(ordering: .relaxed)
      if sessions < best.sessions { best = (index, sessions) }
    }
    return best.index
  }
}

/// The endpoints that a client has not been refused at yet.
struct Candidates {
  private let backends: [Backend]
  private let start: Int
  private var backendStep = 0
  private var endpointStep = 0
  private var preferred = 0

  fileprivate init(of backends: [Backend], from start: Int) {
    self.backends = backends
    self.start = start
  }

  /// The next one to try, or nil if there is none left.
  mutating func next() -> (backend: Backend, endpoint: Int)? {
    guard backendStep < backends.count else { return nil }
    let backend = backends[(start + backendStep) % backends.count]
    if endpointStep == 0 { preferred = backend.preferred.load(ordering: .relaxed) }
    let endpoint = (preferred + endpointStep) % backend.endpoints.count
    endpointStep += 1
    if endpointStep == backend.endpoints.count {
      (backendStep, endpointStep) = (backendStep + 1, 0)
    }
    return (backend, endpoint)
  }
}

package import FDNet
package import Synchronization

/// Which backend gets the next client.
package enum Balance: String, CaseIterable, Sendable {
  case roundRobin = "round-robin"
  /// The one with the fewest sessions; among equals, in turn.
  case leastConnections = "least-connections"
  /// Of two drawn at random the one with fewer sessions.
  case randomOfTwo = "random-of-two"
}

/// A server that clients are forwarded to.
package final class Backend: Sendable {
  package let name: String
  package let endpoints: [Endpoint]
  /// As Host names it.
  let hostName: String
  /// The endpoint that answered last: the first to be tried.
  let preferred = Atomic(0)
  /// Sessions that are connected or about to be.
  package let sessions = Atomic(0)
  package let connected = Atomic(0)
  package let failures = Atomic(0)
  package let health = BackendHealth()
  /// The queues in which requests may wait for a place here.
  package let queues = BackendQueues()

  init(_ address: NamedAddress) {
    name = address.name
    hostName = address.name.hasPrefix("unix:") ? "localhost" : address.name
    endpoints = address.addresses.map(Endpoint.init)
  }
}

/// One address of a backend.
package final class Endpoint: Sendable {
  package let address: SocketAddress
  /// Connections on their way to the idle pool.
  let sparesInTheMaking = Atomic(0)

  init(_ address: SocketAddress) { self.address = address }
}

/// Chooses backends. Callable from any thread.
package final class Balancer: Sendable {
  package let backends: [Backend]
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
    case .randomOfTwo:
      let pair = (Int.random(in: 0..<backends.count), Int.random(in: 0..<backends.count))
      let isFirst =
        backends[pair.0].sessions.load(ordering: .relaxed)
        <= backends[pair.1].sessions.load(ordering: .relaxed)
      return Candidates(of: backends, from: isFirst ? pair.0 : pair.1)
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
package struct Candidates {
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

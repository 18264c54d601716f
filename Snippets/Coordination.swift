import FDCoordination
import FDPoller
import Synchronization

// MARK: SessionRegistry

/// What stands for an agent that has connected.
final class Agent: RegisteredSession {
  let name: String
  private let closed = Atomic(false)

  init(_ name: String) { self.name = name }

  var isClosed: Bool { closed.load(ordering: .relaxed) }
  func close() { closed.store(true, ordering: .relaxed) }
  func registryDidShutDown() { close() }
}

/// Stands for the handshake, which may take long or fail.
func shakeHands(_ name: String) async throws -> Agent {
  try await Task.sleep(for: .milliseconds(20))
  return Agent(name)
}

/// Where agents connect.
func welcome(
  _ name: String, to agents: SessionRegistry<String, Agent>
) async throws -> Registration<String> {
  try await agents.withReservation(name) { reservation in
    let agent = try await withDeadline(.seconds(5)) { try await shakeHands(name) }
    return try reservation.activate(agent)
  }
}

/// Where clients ask for one.
func meet() async throws {
  let agents = SessionRegistry<String, Agent>()
  async let registration = welcome("berlin", to: agents)
  let agent = try await agents.session(for: "berlin", deadline: .seconds(5))
  print("found \(agent.name)")
  agents.remove(try await registration)
  agents.shutDown()
}

// MARK: SingleFlight

/// What an authority gives out.
struct Token: Sendable {
  let text: String
  let lifetime: Duration
}

/// A hundred callers, one question to the authority.
func authorise() async throws {
  let fetches = Tally()
  let tokens = SingleFlight<String, Token>(
    .caching, lifetime: { $0.lifetime },
    fetch: { user in
      let number = fetches.count()
      try await Task.sleep(for: .milliseconds(20))
      return Token(text: "\(user)-\(number)", lifetime: .seconds(3600))
    })
  try await withThrowingTaskGroup { group in
    for _ in 0..<100 {
      group.addTask { _ = try await tokens.value(for: "jo", deadline: .seconds(5)) }
    }
    try await group.waitForAll()
  }
  print("asked the authority \(fetches.value) time")
}

final class Tally: Sendable {
  private let counted = Atomic(0)
  var value: Int { counted.load(ordering: .relaxed) }
  func count() -> Int { counted.add(1, ordering: .relaxed).newValue }
}

// MARK: ResourceCache

/// What takes long to make, and is used by many.
final class Policy: Sendable {
  let name: String

  init(compiling name: String) async throws {
    try await Task.sleep(for: .milliseconds(20))
    self.name = name
  }

  func allows(_ path: String) -> Bool { path.hasPrefix("/\(name)/") }
  func unload() async { print("unloaded \(name)") }
}

/// Two policies, of which one is kept.
func decide() async throws {
  let policies = ResourceCache<String, Policy>(
    capacity: 1,
    start: { name in try await Policy(compiling: name) },
    stop: { _, policy in await policy.unload() })
  for name in ["admin", "guest"] {
    let isAllowed = try await policies.withResource(name, deadline: .seconds(5)) { policy in
      policy.allows("/admin/users")
    }
    print("\(name): \(isAllowed)")
  }
  try await policies.shutDown(deadline: .seconds(30))
}

try await meet()
try await authorise()
try await decide()

import FDCoordination
import FDNet
import Interleave

/// What one thread does to a registry.
enum RegistryRole: String, CaseIterable, Sendable {
  /// Waits for the session under id 1.
  case client
  /// Waits for one under id 2, where none ever comes.
  case stranger
  /// Reserves id 1 and activates a session that stays.
  case agent
  /// As an agent whose handshake fails.
  case failure
  /// The session that is there at first closes, and removes itself later.
  case cleanUp = "clean-up"
  /// Cancels the first client's wait.
  case cancel
  /// Lets the deadlines pass.
  case timer
  /// Shuts the registry down.
  case shutDown = "shut-down"
}

/// How the registry may be broken, as it was in the incidents.
enum RegistryDefect: String, Sendable {
  /// The clean-up of a session removes whatever has its id.
  case cleanUpByID = "clean-up-by-id"
  /// An activation wakes everybody who waits for any id.
  case broadcast
}

/// A registry with a session under id 1, or none, and what is done to it.
struct RegistryScenario: Sendable {
  let roles: [RegistryRole]
  var defect: RegistryDefect?

  static let all: [RegistryScenario] = [
    [.client, .agent], [.client, .client, .agent], [.client, .agent, .agent],
    [.client, .failure, .timer], [.client, .agent, .cancel], [.client, .agent, .timer],
    [.client, .cancel, .timer], [.client, .agent, .shutDown], [.client, .timer, .shutDown],
    [.agent, .cleanUp], [.client, .cleanUp, .timer], [.agent, .agent, .cleanUp],
    [.client, .stranger, .agent, .timer], [.client, .client, .agent, .cancel],
    [.client, .failure, .agent, .timer], [.client, .agent, .cleanUp, .timer],
    [.client, .agent, .cancel, .timer],
  ].map { RegistryScenario(roles: $0) }

  var name: String { "registry:" + roles.map(\.rawValue).joined(separator: "+") }

  var scenario: ProofScenario { scenario(named: name) }

  func scenario(named name: String) -> ProofScenario {
    ProofScenario(
      name, threads: roles.count,
      models: roles.count > 3 ? [.sequentiallyConsistent] : ProofScenario.strongAndWeak
    ) { { ModelRegistry($0, self).setUp() } }
  }
}

/// A session, of which is known who it is, and whether it is closed.
private final class ModelSession: RegisteredSession, @unchecked Sendable {
  struct State: Hashable {
    var isClosed = false
    var told = 0
  }

  let number: Int
  let state: Monitor<State>

  init(_ number: Int) {
    self.number = number
    state = Monitor(State(), named: "session \(number)")
  }

  var isClosed: Bool { state.update { $0.isClosed } }
  func registryDidShutDown() { state.update { $0.told += 1 } }
}

/// One execution.
private final class ModelRegistry {
  typealias Guest = ModelWaiter<SessionOutcome<ModelSession>>
  typealias Core = SessionRegistryCore<ModelMutex, Int, ModelSession, Guest, ModelTime>

  private let setup: Setup
  private let roles: [RegistryRole]
  private let defect: RegistryDefect?
  private let time: ModelTime
  private let core: Core
  /// Of each thread.
  private let waiters: [Guest]
  private let sessions: [ModelSession]
  /// Who is active from the beginning, if somebody cleans up.
  private let first: ModelSession
  private var firstIncarnation = Incarnation.none
  private let ticket: TicketSlot
  /// A bit for each thread whose session has been activated, and for the one that is there at first.
  private let activated = Monitor(0, named: "who has been activated")

  init(_ setup: Setup, _ scenario: RegistryScenario) {
    self.setup = setup
    (roles, defect) = (scenario.roles, scenario.defect)
    time = ModelTime(setup, others: roles.count { $0 != .timer })
    core = Core(time)
    waiters = roles.indices.map { Guest(setup, named: "thread \($0)") }
    sessions = roles.indices.map { ModelSession($0) }
    first = ModelSession(roles.count)
    ticket = TicketSlot(setup, named: "thread 0")
  }

  func setUp() {
    if roles.contains(.cleanUp), case .reserved(let incarnation) = core.reserve(1) {
      firstIncarnation = incarnation
      _ = core.activate(1, incarnation, first)
    }
    for (index, role) in roles.enumerated() {
      setup.thread("\(role.rawValue) \(index)") {
        if role == .timer { return self.time.run { self.core.expire() } }
        self.act(role, index)
        self.time.done()
      }
    }
    setup.finally(check)
  }

  private func act(_ role: RegistryRole, _ index: Int) {
    switch role {
    case .client: wait(for: 1, index)
    case .stranger: wait(for: 2, index)
    case .agent, .failure: reserve(index, fails: role == .failure)
    case .cleanUp:
      first.state.update { $0.isClosed = true }
      cleanUp()
    case .cancel: if let ticket = ticket.look() { core.cancel(ticket) }
    case .timer: break
    case .shutDown: core.shutDown()
    }
  }

  private func cleanUp() {
    guard defect == .cleanUpByID else {
      _ = core.remove(1, firstIncarnation)
      return
    }
    // Whoever it is.
    for number in 1...3 { _ = core.remove(1, Incarnation(number: UInt64(number))) }
  }

  /// As `SessionRegistry.session(for:deadline:)` does.
  private func wait(for id: Int, _ index: Int) {
    let waiter = waiters[index]
    var outcome: SessionOutcome<ModelSession>?
    switch core.wait(for: id, knowingClosed: nil, until: ModelTime.due, waiter) {
    case .found(let session):
      if index == 0 { ticket.tell(nil) }
      outcome = .found(.none, session)
    case .shutDown:
      if index == 0 { ticket.tell(nil) }
      outcome = .shutDown
    case .waiting(let given):
      if index == 0 { ticket.tell(given) }
      outcome = waiter.wait()
    }
    judge(outcome, id)
  }

  private func judge(_ outcome: SessionOutcome<ModelSession>?, _ id: Int) {
    switch outcome {
    case .found(_, let session):
      setup.require(id == 1, "a session is given to who waits for another id")
      let known = activated.update { $0 }
      setup.require(
        known & 1 << session.number != 0 || session === first, "a session is found too early")
    case .cancelled:
      setup.require(roles.contains(.cancel), "a wait is cancelled, and nobody has done that")
    case .timedOut:
      setup.require(roles.contains(.timer), "a deadline passes, and there is none")
    case .shutDown:
      setup.require(roles.contains(.shutDown), "a wait ends, and nobody has shut down")
    case nil: setup.require(false, "a wait ends without an outcome")
    }
  }

  private func reserve(_ index: Int, fails: Bool) {
    guard case .reserved(let incarnation) = core.reserve(1) else { return }
    // As the deinit of a reservation does, whatever has become of it.
    defer { core.giveBack(1, incarnation) }
    if fails { return }
    activated.update { $0 |= 1 << index }
    if defect == .broadcast { wakeEverybody(index) }
    if case .activated = core.activate(1, incarnation, sessions[index]) { return }
    setup.require(roles.contains(.shutDown), "a reservation is lost")
    activated.update { $0 &= ~(1 << index) }
  }

  private func wakeEverybody(_ index: Int) {
    // Those who wait for its own id are woken by the activation.
    for (other, role) in roles.enumerated() where role == .stranger {
      waiters[other].resume(with: .found(.none, sessions[index]))
    }
  }

  private func check() {
    setup.require(core.counts.reservations == 0, "a reservation is left")
    setup.require(core.counts.waiters == 0, "a waiter is left")
    let found = activated.current
    if roles.contains(.shutDown) {
      setup.require(
        sessions.indices.allSatisfy { sessions[$0].state.current.told == found >> $0 & 1 },
        "sessions are told of the end other than once each")
      return
    }
    setup.require(found.nonzeroBitCount <= 1, "two open sessions have been activated under one id")
    guard found != 0 else { return }
    guard case .found(let session) = core.find(1), found == 1 << session.number else {
      return setup.require(false, "the clean-up of a session has removed its successor")
    }
  }
}

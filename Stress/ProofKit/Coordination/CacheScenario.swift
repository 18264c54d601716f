import FDCoordination
import FDNet
import Interleave

/// What one thread does to a cache.
enum CacheRole: String, CaseIterable, Sendable {
  /// Uses the resource of key 1; who begins a start or a stop runs it too.
  case user
  /// Uses that of key 2.
  case other = "user-of-2"
  /// Uses that of key 1 twice, one use within the other.
  case nested
  /// Pushes out key 1.
  case evict
  /// Cancels the first user's wait.
  case cancel
  /// Lets the deadlines pass.
  case timer
  /// Shuts the cache down, and waits for its end.
  case shutDown = "shut-down"
  /// Looks whether the keys are there, while it holds the lock that a start and a stop need.
  case reader
}

/// A cache and what is done to it.
struct CacheScenario: Sendable {
  let roles: [CacheRole]
  var capacity = 2
  /// Whether every start fails.
  var fails = false

  static let all: [CacheScenario] =
    [
      [.user, .user], [.user, .evict], [.user, .user, .evict],
      [.nested, .evict], [.nested, .evict, .evict], [.user, .other], [.user, .cancel],
      [.user, .user, .cancel], [.user, .timer], [.user, .evict, .timer], [.user, .shutDown],
      [.user, .user, .shutDown], [.user, .evict, .shutDown], [.user, .shutDown, .shutDown],
      [.user, .reader], [.user, .evict, .reader], [.user, .cancel, .shutDown],
    ].map { CacheScenario(roles: $0) }
    + [[.user, .other], [.nested, .other]].map {
      CacheScenario(roles: $0, capacity: 1)
    }
    + [[.user, .user], [.user, .user, .user], [.user, .user, .cancel], [.user, .shutDown]].map {
      CacheScenario(roles: $0, fails: true)
    }

  var name: String {
    "cache:\(capacity):" + (fails ? "failing:" : "")
      + roles.map(\.rawValue).joined(separator: "+")
  }

  var scenario: ProofScenario {
    let users = roles.count { $0 == .user || $0 == .other || $0 == .nested }
    let isLong = roles.count > 2 && users > 1
    return ProofScenario(
      name, threads: roles.count,
      models: isLong ? [.sequentiallyConsistent] : ProofScenario.strongAndWeak, isLong: isLong
    ) { { ModelCache($0, self).setUp() } }
  }
}

/// One execution.
private final class ModelCache: @unchecked Sendable {
  typealias Guest = ModelWaiter<LeaseOutcome<Int>>
  typealias Core = ResourceCacheCore<ModelMutex, Int, Int, Guest, ModelTime>

  private struct Failure: Error {}

  /// Of each key.
  private struct Ledger: Hashable {
    /// The instance that is there, from the beginning of its start to the end of its stop; 0 for
    /// none.
    var instance = [0, 0, 0]
    var isUsable = [false, false, false]
    var users = [0, 0, 0]
    var begun = 0
    var hasEnded = false
  }

  private let setup: Setup
  private let scenario: CacheScenario
  private let time: ModelTime
  private let waiters: [Guest]
  private let ticket: TicketSlot
  private let ledger: Monitor<Ledger>
  private let store: ModelMutex

  init(_ setup: Setup, _ scenario: CacheScenario) {
    self.setup = setup
    self.scenario = scenario
    time = ModelTime(setup, others: scenario.roles.count { $0 != .timer })
    waiters = scenario.roles.indices.map { Guest(setup, named: "thread \($0)") }
    ticket = TicketSlot(setup, named: "thread 0")
    ledger = Monitor(Ledger(), named: "the instances")
    store = ModelMutex(named: "the store's lock")
  }

  func setUp() {
    let core = Core(
      capacity: scenario.capacity, time,
      Core.Hooks(
        start: { [unowned self] core, key, incarnation in
          core.started(key, incarnation, start(key))
        },
        stop: { [unowned self] core, key, incarnation, resource in
          stop(key, resource)
          core.stopped(key, incarnation)
        }))
    for (index, role) in scenario.roles.enumerated() {
      setup.thread("\(role.rawValue) \(index)") {
        if role == .timer { return self.time.run { core.expire() } }
        self.act(role, core, index)
        self.time.done()
      }
    }
    setup.finally { self.check(core) }
  }

  private func act(_ role: CacheRole, _ core: Core, _ index: Int) {
    switch role {
    case .user: use(core, 1, index)
    case .other: use(core, 2, index)
    case .nested:
      use(core, 1, index) { resource in
        guard let (incarnation, same) = core.lease(1) else {
          return self.setup.require(false, "a lease waits for itself")
        }
        self.setup.require(same == resource, "a key has two instances")
        core.release(1, incarnation)
      }
    case .evict: core.pushOut(1)
    case .cancel: if let ticket = ticket.look() { core.cancel(ticket) }
    case .timer: break
    case .shutDown: shutDown(core, index)
    case .reader:
      store.withLock {
        _ = core.has(1)
        _ = core.has(2)
      }
    }
  }

  // MARK: What a resource does

  private func start(_ key: Int) -> Result<Int, any Error> {
    let found: Int = ledger.update { ledger in
      ledger.begun += 1
      if ledger.instance[key] != 0 { return -1 }
      if ledger.hasEnded { return -2 }
      ledger.instance[key] = ledger.begun
      return ledger.begun
    }
    setup.require(found != -1, "a key has two instances")
    setup.require(found != -2, "something is started after the end")
    if scenario.roles.contains(.reader) { store.withLock {} }
    let fails = scenario.fails
    ledger.update { ledger in
      if fails { ledger.instance[key] = 0 } else { ledger.isUsable[key] = true }
    }
    return fails ? .failure(Failure()) : .success(found)
  }

  private func stop(_ key: Int, _ resource: Int) {
    let complaint: String? = ledger.update { ledger in
      guard ledger.instance[key] == resource, ledger.isUsable[key] else {
        return "an instance is stopped twice"
      }
      ledger.isUsable[key] = false
      return ledger.users[key] == 0 ? nil : "an instance is stopped while somebody uses it"
    }
    setup.require(complaint == nil, complaint ?? "")
    if scenario.roles.contains(.reader) { store.withLock {} }
    ledger.update { $0.instance[key] = 0 }
  }

  // MARK: As `ResourceCache` does

  private func use(
    _ core: Core, _ key: Int, _ index: Int, _ body: (Int) -> Void = { _ in }
  ) {
    var outcome: LeaseOutcome<Int>?
    if let (incarnation, resource) = core.lease(key) {
      if index == 0 { ticket.tell(nil) }
      outcome = .leased(incarnation, resource)
    } else {
      switch core.join(key, until: ModelTime.due, waiters[index]) {
      case .leased(let incarnation, let resource):
        if index == 0 { ticket.tell(nil) }
        outcome = .leased(incarnation, resource)
      case .shutDown:
        if index == 0 { ticket.tell(nil) }
        outcome = .shutDown
      case .waiting(let given):
        if index == 0 { ticket.tell(given) }
        outcome = waiters[index].wait()
      }
    }
    judge(outcome)
    guard case .leased(let incarnation, let resource) = outcome else { return }
    let isUsable: Bool = ledger.update { ledger in
      ledger.users[key] += 1
      return ledger.instance[key] == resource && ledger.isUsable[key]
    }
    setup.require(isUsable, "a lease is of an instance that does not run")
    body(resource)
    ledger.update { $0.users[key] -= 1 }
    core.release(key, incarnation)
  }

  private func judge(_ outcome: LeaseOutcome<Int>?) {
    let roles = scenario.roles
    switch outcome {
    case .leased: break
    case .failed: setup.require(scenario.fails, "a start fails that has not")
    case .cancelled:
      setup.require(roles.contains(.cancel), "a wait is cancelled, and nobody has done that")
    case .timedOut: setup.require(roles.contains(.timer), "a deadline passes, and there is none")
    case .shutDown:
      setup.require(roles.contains(.shutDown), "a wait ends, and nobody has shut down")
    case .ended, nil: setup.require(false, "a wait ends without an outcome")
    }
  }

  private func shutDown(_ core: Core, _ index: Int) {
    if core.shutDown(until: ModelTime.due, waiters[index]) != nil {
      guard case .ended? = waiters[index].wait() else {
        return setup.require(false, "the wait for the end ends otherwise")
      }
    }
    let isEmpty: Bool = ledger.update { ledger in
      ledger.hasEnded = true
      return ledger.instance == [0, 0, 0]
    }
    setup.require(isEmpty, "the cache ends, and an instance is left")
  }

  private func check(_ core: Core) {
    let (ledger, counts) = (ledger.current, core.counts)
    setup.require(core.waiters == 0 && counts.leases == 0, "a waiter or a lease is left")
    setup.require(counts.starting + counts.retired + counts.stopping == 0, "something is under way")
    setup.require(counts.kept <= scenario.capacity, "more is kept than there is room for")
    let live = ledger.instance.count { $0 != 0 }
    setup.require(counts.kept == live, "an instance lives that is not kept")
  }
}

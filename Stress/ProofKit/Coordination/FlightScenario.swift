import FDCoordination
import FDNet
import Interleave

/// What one thread does to a single flight of one key.
enum FlightRole: String, CaseIterable, Sendable {
  /// Asks for the value, and runs an execution that has begun, if there is one.
  case caller
  /// Cancels the first caller's wait.
  case cancel
  /// Lets the deadlines pass.
  case timer
  /// Has found, at first, that the value is no good, and forgets it late.
  case forget
}

/// A single flight, what an execution comes to, and what is done to it.
struct FlightScenario: Sendable {
  enum Execution: String, CaseIterable, Sendable {
    /// Brings a value, which is not kept.
    case value
    /// Brings a value, which is kept.
    case kept
    /// Fails.
    case failure
    /// Ends only when it is cancelled, and fails then.
    case hanging
    /// Ends only when it is cancelled, and brings a value then.
    case late
  }

  let roles: [FlightRole]
  let execution: Execution

  static let all: [FlightScenario] = {
    let plain = Execution.allCases.filter { $0 != .hanging && $0 != .late }
    let ending: [[FlightRole]] = [[.caller, .caller], [.caller, .caller, .cancel]]
    let hanging: [[FlightRole]] = [
      [.caller, .cancel], [.caller, .timer], [.caller, .cancel, .timer],
    ]
    return ending.flatMap { roles in plain.map { FlightScenario(roles: roles, execution: $0) } }
      + hanging.flatMap { roles in
        [.hanging, .late].map { FlightScenario(roles: roles, execution: $0) }
      }
      + [[.caller, .forget], [.caller, .caller, .forget], [.caller, .forget, .forget]].map {
        FlightScenario(roles: $0, execution: .kept)
      }
  }()

  var name: String {
    "flight:\(execution.rawValue):" + roles.map(\.rawValue).joined(separator: "+")
  }

  var scenario: ProofScenario {
    let callers = roles.count { $0 == .caller }
    let isLong = callers > 2 || callers > 1 && roles.count > 2
    return ProofScenario(
      name, threads: roles.count,
      models: isLong ? [.sequentiallyConsistent] : ProofScenario.strongAndWeak, isLong: isLong
    ) { { ModelFlight($0, self).setUp() } }
  }
}

/// An execution that somebody may cancel.
private final class ModelHandle: FlightHandle, @unchecked Sendable {
  let cancellation: ModelParker

  init(_ number: Int) {
    cancellation = ModelParker(named: "the cancellation of execution \(number)")
  }

  func cancel() { cancellation.unpark() }
}

/// One scenario's execution, in which the flight has executions of its own.
private final class ModelFlight: @unchecked Sendable {
  typealias Guest = ModelWaiter<FlightOutcome<Int>>
  typealias Core = SingleFlightCore<ModelMutex, Int, Int, Guest, ModelHandle, ModelTime>

  private struct Failure: Error {}

  private struct Ledger: Hashable {
    var running = 0
    /// The number of the last one that has begun; its value is the same.
    var begun = 0
    /// How many values callers have got.
    var given = 0
  }

  private let setup: Setup
  private let scenario: FlightScenario
  private let time: ModelTime
  private let waiters: [Guest]
  /// Of the incarnations, from 1. Made in advance; how many are in use is under the core's lock.
  private let handles: [ModelHandle]
  private var usedHandles = 0
  private let ticket: TicketSlot
  /// Executions that have begun and that no thread has taken on: a caller does so when it has told
  /// what its ticket is.
  private let begun = Monitor([UInt64](), named: "what is to be executed")
  private let ledger: Monitor<Ledger>
  /// What who forgets has seen.
  private var seen: ForgetCandidate<Int, Int>?

  init(_ setup: Setup, _ scenario: FlightScenario) {
    self.setup = setup
    self.scenario = scenario
    time = ModelTime(setup, others: scenario.roles.count { $0 != .timer })
    waiters = scenario.roles.indices.map { Guest(setup, named: "thread \($0)") }
    handles = (0...scenario.roles.count).map { ModelHandle($0 + 1) }
    ticket = TicketSlot(setup, named: "thread 0")
    ledger = Monitor(Ledger(), named: "the executions")
  }

  func setUp() {
    var settings = SingleFlightSettings()
    settings.keepsValues = scenario.execution == .kept
    let core = Core(
      settings, time,
      Core.Hooks(
        makeHandle: { [unowned self] in
          usedHandles += 1
          return handles[usedHandles - 1]
        },
        start: { [unowned self] _, _, incarnation, _ in
          begun.update { $0.append(incarnation.number) }
        },
        collect: { core, _ in core.endCollection() }, lifetime: { _ in nil }, chance: { 1 }))
    if scenario.roles.contains(.forget) {
      _ = core.join(1, until: ModelTime.due, Guest(setup, named: "the set-up"))
      executeWhatHasBegun(core)
      seen = core.candidate(1)
    }
    for (index, role) in scenario.roles.enumerated() {
      setup.thread("\(role.rawValue) \(index)") {
        switch role {
        case .timer: return self.time.run { core.expire() }
        case .caller: self.ask(core, index)
        case .cancel: if let ticket = self.ticket.look() { core.cancel(ticket) }
        case .forget: if let seen = self.seen { core.remove(seen) }
        }
        self.time.done()
      }
    }
    setup.finally { self.check(core) }
  }

  private func executeWhatHasBegun(_ core: Core) {
    while true {
      let number: UInt64 = begun.update { $0.isEmpty ? 0 : $0.removeFirst() }
      guard number > 0 else { return }
      core.finish(Incarnation(number: number), execute(handles[Int(number) - 1]))
    }
  }

  private func execute(_ handle: ModelHandle) -> Result<Int, any Error> {
    let hangs = scenario.execution == .hanging || scenario.execution == .late
    let mayOverlap = hangs || scenario.roles.contains(.timer) || scenario.roles.contains(.cancel)
    let (number, isAlone) = begin()
    // One that has been cancelled may end later than the next one begins.
    setup.require(isAlone || mayOverlap, "two executions of one key run at a time")
    if hangs { handle.cancellation.park() }
    ledger.update { $0.running -= 1 }
    switch scenario.execution {
    case .failure, .hanging: return .failure(Failure())
    case .value, .kept, .late: return .success(number)
    }
  }

  private func begin() -> (number: Int, isAlone: Bool) {
    let found: Int = ledger.update { ledger in
      ledger.running += 1
      ledger.begun += 1
      return ledger.running == 1 ? ledger.begun : -ledger.begun
    }
    return (abs(found), found > 0)
  }

  /// As `SingleFlight.value(for:deadline:)` does.
  private func ask(_ core: Core, _ index: Int) {
    if let value = core.find(1) {
      if index == 0 { ticket.tell(nil) }
      return judge(.value(value))
    }
    switch core.join(1, until: ModelTime.due, waiters[index]) {
    case .value(let value):
      if index == 0 { ticket.tell(nil) }
      judge(.value(value))
    case .waiting(let given):
      if index == 0 { ticket.tell(given) }
      executeWhatHasBegun(core)
      judge(waiters[index].wait())
    case .stuck: setup.require(false, "a key is stuck")
    }
  }

  private func judge(_ outcome: FlightOutcome<Int>?) {
    let execution = scenario.execution
    switch outcome {
    case .value(let value):
      let begun: Int = ledger.update { ledger in
        ledger.given += 1
        return ledger.begun
      }
      setup.require(value <= begun, "a value comes from no execution")
      setup.require(execution != .late, "what an abandoned execution brings reaches a caller")
    case .failed:
      setup.require(execution == .failure, "a caller is told of a cancellation that is not his")
    case .cancelled:
      setup.require(
        scenario.roles.contains(.cancel), "a wait is cancelled, and nobody has done that")
    case .timedOut, .tookTooLong:
      setup.require(scenario.roles.contains(.timer), "a deadline passes, and there is none")
    case nil: setup.require(false, "a wait ends without an outcome")
    }
  }

  private func check(_ core: Core) {
    let (ledger, counts) = (ledger.current, core.counts)
    setup.require(counts.waiters == 0, "a waiter is left")
    setup.require(counts.executions + counts.abandoned == 0, "an execution is left")
    setup.require(ledger.running == 0, "an execution runs for ever")
    guard scenario.execution == .kept else {
      return setup.require(core.entries == 0, "an entry is left")
    }
    let isForgotten = scenario.roles.contains(.forget)
    if !scenario.roles.contains(.cancel), !scenario.roles.contains(.timer), !isForgotten {
      setup.require(ledger.begun == 1, "a value that is kept is fetched again")
    }
    // Who forgets has seen the first value; another one stays.
    if isForgotten, ledger.begun > 1 {
      setup.require(core.find(1) != nil, "a late clean-up has removed the successor")
    }
  }
}

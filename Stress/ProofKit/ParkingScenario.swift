import FDOwnership
import Interleave

// Parking: the production word and ticket under loops that use the descriptor outside its handler,
// as `EventLoop` lets them.

/// What a thread does to a descriptor that is parked on loop 0.
enum ParkingRole: String, CaseIterable, Sendable {
  /// Loop 0 parks it, though it is parked.
  case park
  /// Loop 0 has an event for it.
  case event
  /// Loop 0 deletes it.
  case delete
  /// Another loop takes it over, uses it, and parks it.
  case seize
  /// When the kernel hands the number out again, a loop inserts it, uses it, parks it, and takes it
  /// back.
  case reuse
}

/// A parked descriptor and a few loops that each do one thing to it.
struct ParkingScenario: Sendable {
  let roles: [ParkingRole]

  static let all: [ParkingScenario] = [
    [.park, .seize], [.event, .seize], [.delete, .seize], [.park, .seize, .seize],
    [.event, .seize, .seize], [.delete, .seize, .seize], [.delete, .seize, .reuse],
  ].map(ParkingScenario.init)

  var name: String { "parking:" + roles.map(\.rawValue).joined(separator: "+") }

  var scenario: ProofScenario {
    ProofScenario(name, threads: roles.count) { { ParkedDescriptor($0, self).setUp() } }
  }
}

/// One execution.
private final class ParkedDescriptor {
  private let setup: Setup
  private let scenario: ParkingScenario
  private let ownership = Ownership<ModelWord>()
  private let ticket = ParkingTicket<ModelWord>()
  private let home = ModelWord(0, named: "the home loop")
  /// Whether the kernel has handed the number out.
  private let number = ModelWord(1, named: "the kernel's table")
  /// What the loop that owns the descriptor does with it, inside its handler and outside.
  private let work = Cell(0, named: "the owner's work")
  /// The loop that has the orphan deletion in its mail, or -1.
  private let posted = Monitor(-1, named: "the mail")
  /// Orders what a loop's mail says after what was done before it was posted.
  private let mail = ModelMutex(named: "the lock of the mail")
  private let first: Generation

  init(_ setup: Setup, _ scenario: ParkingScenario) {
    self.setup = setup
    self.scenario = scenario
    setup.name(0, "the word") { OwnershipState(rawValue: $0).description }
    setup.name(1, "the whole generation")
    setup.name(2, "the ticket")
    first = ownership.seal() ?? Generation(rawValue: 0)
    ownership.publish(group: 1, threads: ThreadBit(group: 1, index: 0).mask)
    ticket.park(first)
  }

  func setUp() {
    for (loop, role) in scenario.roles.enumerated() {
      setup.thread("loop \(loop), \(role.rawValue)", symmetry: role == .seize ? 1 : 0) {
        self.act(role, loop)
        self.readMail(loop)
      }
    }
    setup.finally(check)
  }

  private func act(_ role: ParkingRole, _ loop: Int) {
    switch role {
    case .park: park(first, loop)
    case .event:
      guard case .entered = ownership.enter(first, as: bit(loop)) else { return }
      finish(ownership.leave(as: bit(loop)), loop)
    case .delete:
      if case .claimed(let duty) = ownership.delete(first) { finish(duty, loop) }
    case .seize:
      if seize(first, loop) == .taken { park(first, loop) }
    case .reuse: reuse(loop)
    }
  }

  private func bit(_ loop: Int) -> ThreadBit { ThreadBit(group: 1, index: loop) }

  /// As `EventLoop.park(_:)`.
  private func park(_ generation: Generation, _ loop: Int) {
    guard ownership.generation == generation, !ticket.isParked(generation) else { return }
    let state = ownership.state
    guard state.group == bit(loop).group, state.threads.contains(bit(loop).mask) else { return }
    work.value += 1
    ticket.park(generation)
  }

  private func seize(_ generation: Generation, _ loop: Int) -> Takeover {
    let result = ticket.takeOver(ownership, generation, as: bit(loop), by: loop)
    guard result == .taken else { return result }
    _ = home.exchange(UInt64(loop), .relaxed)
    work.value += 1
    finish(ownership.leave(as: bit(loop)), loop)
    return result
  }

  private func reuse(_ loop: Int) {
    guard number.compareExchangeAcquiring(expected: 0, desired: 1).exchanged,
      let generation = ownership.seal()
    else { return }
    _ = home.exchange(UInt64(loop), .relaxed)
    ownership.publish(group: 1, threads: bit(loop).mask)
    setup.require(
      !ticket.isParked(first) && !ticket.isParked(generation), "a new incarnation is parked")
    park(generation, loop)
    setup.require(!ticket.isParked(first), "an incarnation that is closed is parked")
    setup.require(
      seize(generation, loop) == .taken, "a thread with an old handle keeps the ticket")
  }

  /// The orphan deletion, if it is due, on the home loop.
  private func finish(_ duty: Duty, _ loop: Int) {
    guard duty != .none else { return }
    let home = Int(home.loadRelaxed())
    guard home != loop else { return close() }
    mail.withLock { posted.update { $0 = home } }
  }

  private func readMail(_ loop: Int) {
    let isDue = mail.withLock {
      posted.update { posted in
        defer { if posted == loop { posted = -1 } }
        return posted == loop
      }
    }
    if isDue { close() }
  }

  private func close() {
    work.value = 0
    ticket.clear()
    ownership.free()
    number.storeReleasing(0)
  }

  private func check() {
    for loop in scenario.roles.indices { readMail(loop) }
    guard ownership.generation == first else { return }
    let stranger = scenario.roles.count
    setup.require(
      ticket.takeOver(ownership, first, as: bit(stranger), by: stranger) == .taken,
      "it is not parked again, so nobody can take it over any more")
  }
}

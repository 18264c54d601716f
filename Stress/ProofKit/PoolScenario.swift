import FDNet
import FDOwnership
import Interleave

// The shared idle pool: the production word, parking ticket and idle lists. What puts them together
// here repeats what `ConnectionPool` does, and proves nothing about that file.

extension ModelMutex: ListLock {}

/// What one loop, or a thread that is none, does to the connections that loop 0 offers.
enum PoolRole: String, CaseIterable, Sendable {
  /// Loop 0 takes one of its own, uses it and offers it again.
  case checkOut = "check-out"
  /// Loop 0 has an event without meaning for a connection that it offers.
  case spuriousEvent = "spurious-event"
  /// Loop 0 finds that a peer has hung up.
  case hangUp = "hang-up"
  /// Loop 0 closes what is idle for too long.
  case purge
  /// Another loop takes one over, uses it and offers it from then on.
  case steal
  /// Another loop needs the descriptor for something else, and closes an idle connection.
  case evict
  /// Somebody deletes a connection from outside.
  case delete

  var isOfLoop0: Bool {
    switch self {
    case .checkOut, .spuriousEvent, .hangUp, .purge: true
    case .steal, .evict, .delete: false
    }
  }
}

/// A pool of a few connections, all idle on loop 0, and what is done to them.
struct PoolScenario: Sendable {
  /// What loop 0 does, one after the other; each of the others is done by a thread of its own.
  let first: [PoolRole]
  let others: [PoolRole]
  let connections: Int

  /// Every mix of one or two actions of loop 0 with one or two other threads; two connections where
  /// there are not two of both.
  static let all: [PoolScenario] = {
    let own = PoolRole.allCases.filter(\.isOfLoop0)
    let foreign = PoolRole.allCases.filter { !$0.isOfLoop0 }
    let firsts = own.map { [$0] } + own.flatMap { one in own.map { [one, $0] } }
    let pairs = foreign.indices.flatMap { one in foreign[one...].map { [foreign[one], $0] } }
    return firsts.flatMap { first in
      (foreign.map { [$0] } + pairs).flatMap { others in
        (1...(first.count + others.count < 4 ? 2 : 1)).map {
          PoolScenario(first: first, others: others, connections: $0)
        }
      }
    }
  }()

  var name: String {
    "pool:\(connections):" + first.map(\.rawValue).joined(separator: ",") + "+"
      + others.map(\.rawValue).joined(separator: "+")
  }

  var scenario: ProofScenario {
    ProofScenario(name, threads: 1 + others.count, isLong: first.count > 1) {
      { ModelPool($0, self).setUp() }
    }
  }
}

/// A pooled connection and its slot.
private final class ModelConnection {
  /// What `Connection` and its companion know, which nothing but custody guards.
  struct Fields: Hashable {
    var isParked = true
    /// On whose list it was put last.
    var list = 0
    var uses = 0
  }

  let number: Int
  let ownership = Ownership<ModelWord>()
  let parking = ParkingTicket<ModelWord>()
  let home: ModelWord
  let fields: Cell<Fields>
  let generation: Generation

  init(_ number: Int) {
    self.number = number
    home = ModelWord(0, named: "the home of connection \(number)")
    fields = Cell(Fields(), named: "the fields of connection \(number)")
    generation = ownership.seal() ?? Generation(rawValue: 0)
    ownership.publish(group: 1, threads: ThreadBit(group: 1, index: 0).mask)
    parking.park(generation)
  }
}

/// One execution.
private final class ModelPool {
  typealias List = IdleList<ModelMutex, Int, ModelConnection>

  /// A bit per connection.
  private struct Ledger: Hashable {
    var used = 0
    var closed = 0
    var deleted = 0
    /// Orphan deletions that have been posted to the loop of that number.
    var posted: [Int]
  }

  private let setup: Setup
  private let scenario: PoolScenario
  private let lists: [List]
  private let entries: [IdleEntry<Int, ModelConnection>]
  private let ledger: Monitor<Ledger>
  /// Orders what a loop's mail says after what was done before it was posted.
  private let mail: ModelMutex

  init(_ setup: Setup, _ scenario: PoolScenario) {
    self.setup = setup
    self.scenario = scenario
    let loops = 1 + scenario.others.count
    lists = (0..<loops).map { _ in List() }
    entries = (0..<scenario.connections).map { IdleEntry(ModelConnection($0), for: 0) }
    ledger = Monitor(Ledger(posted: [Int](repeating: 0, count: loops)), named: "the ledger")
    mail = ModelMutex(named: "the mail")
    for entry in entries { lists[0].link(entry, at: 0) }
  }

  func setUp() {
    setup.thread("loop 0") {
      for role in self.scenario.first { self.act(role, 0) }
      self.readMail(0)
    }
    for (index, role) in scenario.others.enumerated() {
      let name = role == .delete ? "stranger \(index + 1)" : "loop \(index + 1)"
      setup.thread(name, symmetry: (PoolRole.allCases.firstIndex(of: role) ?? 0) + 1) {
        self.act(role, index + 1)
        if role != .delete { self.readMail(index + 1) }
      }
    }
    setup.finally(check)
  }

  private func act(_ role: PoolRole, _ loop: Int) {
    switch role {
    case .checkOut, .steal: checkOut(loop)
    case .spuriousEvent: event(loop) { _ in }
    case .hangUp: event(loop) { if self.unlink($0) { self.delete($0, on: loop) } }
    case .purge:
      for entry in lists[0].purge(idleSinceBefore: .max) { delete(entry.element, on: loop) }
    case .evict: if let entry = lists[0].removeOne() { delete(entry.element, on: loop) }
    case .delete: delete(entries[0].element, on: nil)
    }
  }

  private func bit(_ loop: Int) -> ThreadBit { ThreadBit(group: 1, index: loop) }

  // MARK: As the pool does

  private func checkOut(_ loop: Int) {
    // The own list first, and then no thief's before another's.
    for index in [loop] + lists.indices.filter({ $0 != loop }) {
      while case .taken(let entry) = lists[index].take(
        0, trying: index != loop, { self.seize($0, loop) })
      {
        if begin(entry.element, on: loop) { return use(entry, on: loop) }
      }
    }
  }

  private func seize(_ connection: ModelConnection, _ loop: Int) -> Bool {
    connection.parking.takeOver(
      connection.ownership, connection.generation, as: bit(loop), by: loop) == .taken
  }

  /// The connection has been seized and unlinked.
  private func begin(_ connection: ModelConnection, on loop: Int) -> Bool {
    _ = connection.home.exchange(UInt64(loop), .relaxed)
    finish(connection.ownership.leave(as: bit(loop)), connection, on: loop)
    guard connection.fields.value.isParked else { return false }
    connection.fields.value.isParked = false
    return true
  }

  private func use(_ entry: IdleEntry<Int, ModelConnection>, on loop: Int) {
    let connection = entry.element
    let mask = 1 << connection.number
    let wasUsed = ledger.update { ledger in
      defer { ledger.used |= mask }
      return ledger.used & mask != 0
    }
    setup.require(!wasUsed, "two loops use one connection")
    connection.fields.value.uses += 1
    ledger.update { $0.used &= ~mask }
    // It is checked in again.
    connection.fields.value.list = loop
    connection.fields.value.isParked = true
    connection.parking.park(connection.generation)
    lists[loop].link(entry, at: 0)
  }

  private func event(_ loop: Int, _ look: (ModelConnection) -> Void) {
    let connection = entries[0].element
    guard case .entered = connection.ownership.enter(connection.generation, as: bit(loop)) else {
      return
    }
    if connection.fields.value.isParked { look(connection) }
    finish(connection.ownership.leave(as: bit(loop)), connection, on: loop)
  }

  /// Takes the connection out of the list that it was put into last.
  private func unlink(_ connection: ModelConnection) -> Bool {
    lists[connection.fields.value.list].unlink(entries[connection.number])
  }

  private func delete(_ connection: ModelConnection, on loop: Int?) {
    switch connection.ownership.delete(connection.generation) {
    case .alreadyGone: return
    case .deferred: ledger.update { $0.deleted |= 1 << connection.number }
    case .claimed(let duty):
      ledger.update { $0.deleted |= 1 << connection.number }
      finish(duty, connection, on: loop)
    }
  }

  // MARK: Orphan deletion, on the home loop

  private func finish(_ duty: Duty, _ connection: ModelConnection, on loop: Int?) {
    guard duty != .none else { return }
    let home = Int(connection.home.loadRelaxed())
    guard home != loop else { return close(connection) }
    mail.withLock { ledger.update { $0.posted[home] |= 1 << connection.number } }
  }

  private func readMail(_ loop: Int) {
    let posted = mail.withLock {
      ledger.update { ledger in
        defer { ledger.posted[loop] = 0 }
        return ledger.posted[loop]
      }
    }
    for entry in entries where posted & 1 << entry.element.number != 0 { close(entry.element) }
  }

  private func close(_ connection: ModelConnection) {
    let mask = 1 << connection.number
    connection.fields.value.isParked = false
    connection.parking.clear()
    connection.ownership.free()
    let complaint: String? = ledger.update { ledger in
      defer { ledger.closed |= mask }
      if ledger.used & mask != 0 { return "a connection is closed while a loop uses it" }
      return ledger.closed & mask == 0 ? nil : "a connection is closed twice"
    }
    setup.require(complaint == nil, complaint ?? "")
    _ = unlink(connection)
  }

  private func check() {
    for loop in lists.indices { readMail(loop) }
    let ledger = ledger.current
    setup.require(ledger.closed == ledger.deleted, "what is deleted and what is closed differ")
    let open = scenario.connections - ledger.closed.nonzeroBitCount
    let listed = lists.reduce(0) { $0 + $1.count(0) }
    setup.require(listed == open, "of \(open) open connections \(listed) are in a list")
    // Whoever comes now gets them all.
    var taken = 0
    for list in lists {
      while case .taken = list.take(0, trying: true, { self.seize($0, lists.count) }) { taken += 1 }
    }
    setup.require(taken == open, "of \(open) open connections \(taken) can be taken over")
  }
}

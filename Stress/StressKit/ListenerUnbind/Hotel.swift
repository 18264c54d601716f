import FDDelays
import FDNet
import FDOwnership
import FDPoller
import Glibc

/// What all threads of one run share.
final class Hotel: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  /// Set before any thread starts.
  private(set) var doors: [Door] = []

  let objects: Ledger
  let listeners: Ledger
  let departures: Ledger
  let deletions: Ledger
  let guests: Ledger
  /// What a guest has answered has to reach its client.
  let answers: Ledger
  let operations: Tally
  let served: Tally
  let refused: Tally
  let reset: Tally
  private let ids = Tally()

  private static let clients = 4

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    objects = stage.ledger("no handler is left")
    listeners = stage.ledger("every listener that is inserted is closed")
    departures = stage.ledger("one departure for every listener")
    deletions = stage.ledger("of the deletes of a listener one wins")
    guests = stage.ledger("every client that is accepted is closed")
    answers = stage.ledger("every client that is answered is served")
    operations = stage.count("operations")
    served = stage.count("served")
    refused = stage.count("refused")
    reset = stage.count("reset")
    let groups = poller.loops.reduce(0) { max($0, $1.bit.group) }
    doors = (0..<max(2, groups)).map { index in
      Door(index, poller.loops.filter { $0.bit.group == index % groups + 1 }, of: self)
    }
  }

  /// Breaks the circle of references at the end.
  func dissolve() { doors = [] }

  func newID() -> UInt64 { UInt64(ids.add()) + 1 }

  func startForeigners() {
    for number in 0..<Self.clients {
      stage.startThread("client-\(number)") { [unowned self] random in
        guard let door = doors.randomElement(using: &random) else { return }
        Client(newID(), of: self).visit(door)
        if random.next() % 8 == 0 { usleep(UInt32(random.next() % 500)) }
      }
    }
    for number in 0..<2 {
      stage.startThread("closer-\(number)") { [unowned self] random in
        usleep(UInt32(random.next() % 3_000))
        doors.randomElement(using: &random)?.storm(random.next())
      }
    }
  }
}

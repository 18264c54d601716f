import CShims
import FDDelays
import FDPoller
import Glibc

/// What all threads of one run share.
final class Street: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  /// So many for each loop, in its order.
  let houses: [House]
  /// One for each loop. Set before any thread starts.
  private(set) var porters: [Porter] = []

  let objects: Ledger
  let descriptors: Ledger
  let departures: Ledger
  let operations: Tally
  let messages: Tally
  let hangUps: Tally
  private let ids = Tally()

  private static let housesPerLoop = 10

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    objects = stage.ledger("no handler is left")
    descriptors = stage.ledger("every descriptor that is inserted is closed")
    departures = stage.ledger("one departure for every insert")
    operations = stage.count("operations")
    messages = stage.count("messages")
    hangUps = stage.count("hang-ups")
    let loops = poller.loops
    houses = (0..<loops.count * Self.housesPerLoop).map {
      House($0, of: loops[$0 / Self.housesPerLoop])
    }
    porters = loops.map { loop in
      Porter(loop, houses.filter { $0.loop === loop }, of: self)
    }
  }

  /// Breaks the circle of references at the end.
  func dissolve() { porters = [] }

  func newID() -> UInt64 { UInt64(ids.add()) + 1 }

  /// Deletes what may be deleted at any time. Callable from any thread.
  func disturb(_ house: House) {
    if !house.isLeftAlone { delete(house) }
  }

  /// Callable from any thread.
  func delete(_ house: House) {
    guard let handle = house.condemn() else { return }
    operations.add()
    poller.delete(handle)
  }

  func startForeigners() {
    start("peer-0") { $0.writeOrHangUp($1, $2) }
    start("peer-1") { $0.writeOrHangUp($1, $2) }
    start("deleter") { street, house, _ in street.disturb(house) }
    start("opener") { street, house, _ in
      if !house.isSpare { house.open(in: street) }
    }
  }

  private func start(
    _ name: String, _ act: @escaping @Sendable (Street, House, UInt64) -> Void
  ) {
    stage.startThread(name) { [unowned self] random in
      guard let house = houses.randomElement(using: &random) else { return }
      act(self, house, random.next())
      switch random.next() % 8 {
      case 0..<2: usleep(UInt32(random.next() % 200))
      case 2..<5: sched_yield()
      default: break
      }
    }
  }

  /// What a peer does.
  func writeOrHangUp(_ house: House, _ choice: UInt64) {
    operations.add()
    if choice % 2 == 0 { house.write() } else { house.hangUp() }
  }
}

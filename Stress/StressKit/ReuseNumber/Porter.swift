import FDDelays
import FDPoller
import Glibc
import Synchronization

/// What one loop does to the houses, its own most of all. On the loop, save where it says otherwise.
final class Porter: @unchecked Sendable {
  let loop: EventLoop
  private let heartbeat: Heartbeat
  private let houses: [House]
  private unowned let street: Street
  private var random: SplitMix
  /// What each of its houses was owed when it looked last, and how many rounds ago that was new.
  private var debts: [(debt: House.Debt?, rounds: Int)]
  private let resting = Atomic<Bool>(false)

  /// Between two rounds there is a wait of the loop, which tells of what is ready: a handler that
  /// has heard nothing for so many will never do.
  private static let roundsOfPatience = 50
  private static let round = Duration.milliseconds(10)

  init(_ loop: EventLoop, _ houses: [House], of street: Street) {
    self.loop = loop
    self.houses = houses
    self.street = street
    heartbeat = street.stage.heartbeat(loop.name)
    random = street.stage.random(for: loop.name)
    debts = houses.map { _ in (nil, 0) }
  }

  /// Callable from any thread.
  var isResting: Bool { resting.load(ordering: .acquiring) }

  private var anyHouse: House { houses[Int(random.next() % UInt64(houses.count))] }

  /// Does a few things, and comes back for more until the storm is over.
  func step() {
    heartbeat.beat()
    guard street.stage.isStormy else { return resting.store(true, ordering: .releasing) }
    switch random.next() % 8 {
    case 0..<5: prepareBatch()
    case 5..<7: strike(sparing: nil)
    default: street.disturb(street.houses[Int(random.next() % UInt64(street.houses.count))])
    }
    // Sometimes at once and sometimes after a sleep.
    if random.next() % 4 == 0 {
      loop.schedule(after: .microseconds(random.next() % 1_000)) { [self] in step() }
    } else {
      loop.run { [self] in step() }
    }
  }

  /// Several peers act before the next wait, which so has several events.
  private func prepareBatch() {
    for house in houses where !house.isSpare { house.open(in: street) }
    // The kernel has to know of new ones first.
    loop.run { [self] in
      for _ in 0..<4 { street.writeOrHangUp(anyHouse, random.next()) }
    }
  }

  /// Deletes some of its own and at once opens others, which get the numbers.
  ///
  /// - Parameter house: whose handler runs.
  func strike(sparing house: House?) {
    for _ in 0..<random.next() % 3 {
      let victim = anyHouse
      if victim !== house { street.disturb(victim) }
      _ = houses.first { $0.isSpare && $0.open(in: street) }
    }
  }

  // MARK: Who hears nothing

  /// Looks for the deaf, until there is nothing to be heard any more.
  func listen() {
    for (index, house) in houses.enumerated() {
      let debt = house.debt
      guard let debt, let earlier = debts[index].debt, debt.isStill(earlier) else {
        debts[index] = (debt, 0)
        continue
      }
      debts[index].rounds += 1
      if debts[index].rounds == Self.roundsOfPatience { complain(debt) }
    }
    if !isResting || houses.contains(where: { $0.debt != nil }) {
      loop.schedule(after: Self.round) { [self] in listen() }
    }
  }

  private func complain(_ debt: House.Debt) {
    street.stage.violate(
      "nobody is deaf",
      "connection \(debt.id) has heard \(debt.heard) of \(debt.written) messages"
        + (debt.peerHasGone ? " and not that its peer has hung up" : "")
        + ", though \(loop) has waited \(Self.roundsOfPatience) times since: its kernel poller "
        + "does not watch this incarnation of the number",
      debt.handle)
  }
}

import FDPoller

/// What all threads of one run share.
final class Triangles: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let objects: Ledger
  let descriptors: Ledger
  let departures: Ledger
  let operations: Tally
  let messages: Tally
  /// Set before any thread starts.
  private(set) var courses: [Course] = []
  /// How often something was taken away from each loop.
  private let losses: [Tally]
  private let ids = Tally()

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    objects = stage.ledger("no handler is left")
    descriptors = stage.ledger("every descriptor that is inserted is closed")
    departures = stage.ledger("one departure for every insert")
    operations = stage.count("operations")
    messages = stage.count("messages")
    losses = poller.loops.map { _ in Tally() }
    courses = (0..<max(4, poller.loops.count)).map { Course($0, of: self) }
  }

  /// Breaks the circle of references at the end.
  func dissolve() { courses = [] }

  func newID() -> UInt64 { UInt64(ids.add()) + 1 }

  /// Inside, on the new owner's loop, after the takeover.
  func noteTakeover(from index: Int, by loop: EventLoop) {
    operations.add()
    if index != loop.index { losses[index].add() }
  }

  // MARK: Nobody spins

  /// A loop that finds an event lost has its kernel poller forget the descriptor. So a takeover
  /// leaves at most one to be found by the loop that has lost it; more is a loop that spins.
  func checkLostEvents() {
    let found = poller.snapshot().loops.map { $0[.eventsLost] }
    for (index, found) in found.enumerated() {
      // A takeover is counted a moment after it was made: there may be one of each descriptor.
      let allowed = UInt64(losses[index].count + courses.count)
      guard found > allowed else { continue }
      stage.violate(
        "one lost event for each takeover at the most",
        "\(poller.loops[index]) was told \(found) times of what other loops had taken over, "
          + "which happened \(losses[index].count) times: its kernel poller has not forgotten "
          + "it, and rings again and again")
    }
  }
}

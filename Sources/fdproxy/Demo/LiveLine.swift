import FDPoller
import Synchronization

/// One line per second: what happened in it, and what has happened so far.
struct LiveLine {
  private static let columns = [
    "second", "round trips/s", "open", "takeovers", "closed by owner", "by last leaver",
  ]

  static var heading: String { columns.joined(separator: "   ") }

  let start = ContinuousClock.now
  private var roundTripsBefore = 0
  private var timeBefore = ContinuousClock.now

  /// - Parameters:
  ///   - second: since the start.
  ///   - stage: whose counters so far are shown.
  ///   - load: whose round trips in the last second are shown.
  mutating func next(after second: Int, _ stage: DemoStage, _ load: Load) -> String {
    let now = ContinuousClock.now
    let roundTrips = load.count.roundTrips.load(ordering: .relaxed)
    let rate = Double(roundTrips - roundTripsBefore) / ((now - timeBefore) / .seconds(1))
    (roundTripsBefore, timeBefore) = (roundTrips, now)
    let total = stage.snapshot.total
    let values = [
      "\(second)", grouped(Int(rate)), grouped(stage.sessions), grouped(stage.takenOver),
      grouped(total[.closesByDeleter]), grouped(total[.closesByLastLeaver]),
    ]
    return zip(Self.columns, values).map { column, value in
      String(repeating: " ", count: max(0, column.count - value.count)) + value
    }.joined(separator: "   ")
  }
}

import FDNet
import FDPoller
import ReverseProxy
import Synchronization

/// One line per second: what happened in it, and what has happened so far.
struct LiveLine {
  private static let columns = [
    "second", "answers/s", "clients", "opened", "used again", "takeovers", "closed by owner",
    "by last leaver",
  ]

  static var heading: String { columns.joined(separator: "   ") }

  let start = ContinuousClock.now
  private var answersBefore = 0
  private var timeBefore = ContinuousClock.now

  /// - Parameters:
  ///   - second: since the start.
  ///   - stage: whose counters so far are shown.
  ///   - load: whose answers in the last second are shown.
  mutating func next(after second: Int, _ stage: DemoStage, _ load: Load) -> String {
    let now = ContinuousClock.now
    let answers = load.count.answers.load(ordering: .relaxed)
    let rate = Double(answers - answersBefore) / ((now - timeBefore) / .seconds(1))
    (answersBefore, timeBefore) = (answers, now)
    let (total, pool) = (stage.snapshot.total, stage.pool)
    let values = [
      "\(second)", grouped(Int(rate)), grouped(stage.proxy.clientCount), grouped(pool.opened),
      grouped(pool.reusedLocally + pool.takenOver), grouped(pool.takenOver),
      grouped(total[.closesByDeleter]), grouped(total[.closesByLastLeaver]),
    ]
    return zip(Self.columns, values).map { column, value in
      String(repeating: " ", count: max(0, column.count - value.count)) + value
    }.joined(separator: "   ")
  }
}

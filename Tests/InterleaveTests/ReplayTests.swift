import Interleave
import Testing

@Suite("Replay")
struct ReplayTests {
  @Test("a violation is replayed from its choices, whatever was left out when it was found")
  func replay() throws {
    let found = try #require(
      expectViolation("an update was lost", .c11) { Counting.inTwoSteps($0) })
    for (merges, prunes) in [(true, true), (false, false)] {
      var options = Explorer.Options(model: .c11)
      options.replay = found.replay.split(separator: ".").compactMap { Int($0) }
      options.mergesStates = merges
      options.prunesIndependent = prunes
      let again = Explorer.explore(options) { Counting.inTwoSteps($0) }
      #expect(again.violation?.message == found.message)
      #expect(again.violation?.story == found.story)
      #expect(again.executions == 1)
    }
  }

  @Test("a replay that finds nothing says that it was one execution")
  func replayOfSuccess() {
    var options = Explorer.Options()
    options.replay = []
    let report = Explorer.explore(options) { Counting.inOneStep($0, threads: 2) }
    #expect(report.executions == 1)
    #expect(
      report.description.hasPrefix("not exhausted (one execution was replayed, and went well)"))
  }

  @Test("choices of another scenario are refused", arguments: [[6], [-1], [99], [0, 0, 0, 0, 0]])
  func foreignChoices(_ choices: [Int]) {
    var options = Explorer.Options()
    options.replay = choices
    let report = Explorer.explore(options) { Counting.inOneStep($0, threads: 2) }
    #expect(report.description.contains("these choices are not of this scenario"))
  }

  @Test("choices that are left over, or of values that there are not, are refused")
  func foreignValues() {
    func explore(_ choices: [Int]) -> Report {
      var options = Explorer.Options(model: .c11)
      options.replay = choices
      return Explorer.explore(options) { setup in
        let word = Word(0, "word")
        setup.thread("writer") { word.word.store(1, .relaxed) }
        setup.thread("reader") { _ = word.word.load(.relaxed) }
      }
    }
    // The writer, the reader, and the older of the two values.
    #expect(explore([0, 1, 1]).description.contains("one execution was replayed"))
    for foreign in [[0, 1, 2], [0, 1, -1], [0, 1, 1, 0]] {
      #expect(explore(foreign).description.contains("these choices are not of this scenario"))
    }
  }
}

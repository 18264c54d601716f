import FDOwnership
import Interleave
import ProofKit
import SplitMask
import Testing

/// The published protocol with three words is where the explorer shows that it finds real bugs.
@Suite("The split-mask protocol")
struct SplitMaskTests {
  @Test("each historical defect is found, in the fewest preemptions", arguments: Finding.all)
  func found(_ finding: Finding) throws {
    let violation = try finding.violation()
    #expect(violation.message == finding.message)
    #expect(violation.preemptions == finding.preemptions)
    for bound in 0..<finding.preemptions {
      var bounded = Explorer.Options(model: finding.model)
      bounded.preemptions = bound
      #expect(finding.scenario().explore(bounded).violation == nil)
    }
  }

  @Test("its story names threads and masks, and ends where it goes wrong", arguments: Finding.all)
  func story(_ finding: Finding) throws {
    let story = try finding.violation().story
    var rest = story[...]
    for line in finding.story {
      let found = try #require(
        rest.firstIndex { $0.split(separator: " ").joined(separator: " ") == line },
        "\(line) is not in this place:\n\(story.joined(separator: "\n"))")
      rest = rest[(found + 1)...]
    }
    #expect(story.last?.hasSuffix("✗ " + finding.message) == true)
    #expect(story.count { $0.contains("✗") } == 1)
  }

  @Test("its choices, replayed, give the same violation", arguments: Finding.all)
  func replayed(_ finding: Finding) throws {
    let violation = try finding.violation()
    var options = Explorer.Options(model: finding.model)
    options.replay = violation.choices
    let report = finding.scenario().explore(options)
    #expect(report.executions == 1)
    #expect(report.violation?.message == violation.message)
    #expect(report.violation?.story == violation.story)
  }

  @Test(
    "it shows under the weaker memory models too, and not under stronger ones",
    arguments: SplitMaskScenario.catalogue.filter { $0.roles.count == 2 }, MemoryModel.allCases)
  func models(_ shown: SplitMaskScenario, _ model: MemoryModel) throws {
    let report = try #require(
      ProofScenario(
        custody: shown.roles, isShared: shown.isShared, subject: .splitMask(shown.defect))
    ).explore(Explorer.Options(model: model))
    if shown.models.contains(model) {
      #expect(report.violation != nil)
    } else {
      #expect(report.isProved, "\(report)")
    }
  }

  @Test(
    "cured of all defects, and as one word, it is proved where the defects show",
    arguments: SplitMaskScenario.catalogue, [false, true])
  func cured(_ shown: SplitMaskScenario, _ isOneWord: Bool) throws {
    let scenario = try #require(
      ProofScenario(
        custody: shown.roles, isShared: shown.isShared,
        subject: isOneWord ? .oneWord : .splitMask(nil)))
    // Three threads under C11 take a debug build too long.
    for model in MemoryModel.allCases where scenario.threads < 3 || model != .c11 {
      let report = scenario.explore(Explorer.Options(model: model))
      #expect(report.isProved, "\(model): \(report)")
    }
  }

  @Test(
    "cured, it is proved for every two threads that it is meant for",
    arguments: [[Role.event, .takeover, .nest], [.event]], MemoryModel.allCases)
  func pairs(_ entering: [Role], _ model: MemoryModel) throws {
    // A shared descriptor is never taken over.
    let isShared = !entering.contains(.takeover)
    let others: [Role] = entering + [.delete, .deleteInside]
    for (first, second) in entering.flatMap({ first in others.map { (first, $0) } }) {
      let scenario = try #require(
        ProofScenario(custody: [first, second], isShared: isShared, subject: .splitMask(nil)))
      let report = scenario.explore(Explorer.Options(model: model))
      #expect(report.isProved, "\(scenario.name): \(report)")
    }
  }

  @Test(
    "what no order of its steps can guarantee, one word can",
    arguments: [
      ([Role.event, .delete, .reuse], false, "a handler runs after the close"),
      (
        [.event, .takeover], true,
        "two owners: a handler runs on a thread that the descriptor was taken from"
      ),
    ])
  func limits(_ roles: [Role], _ isShared: Bool, _ message: String) throws {
    func explore(_ subject: Subject) throws -> Report {
      let scenario = try #require(
        ProofScenario(custody: roles, isShared: isShared, subject: subject))
      return scenario.explore(Explorer.Options())
    }
    #expect(try explore(.splitMask(nil)).violation?.message == message)
    #expect(try explore(.oneWord).isProved)
  }

  @Test("cured, it is proved for an event, a takeover and a delete")
  func threeThreads() throws {
    let scenario = try #require(
      ProofScenario(
        custody: [.event, .takeover, .delete], isShared: false, subject: .splitMask(nil)))
    let report = scenario.explore(Explorer.Options())
    #expect(report.isProved, "\(report)")
  }

  @Test("on the processor's words, the last one to leave closes, and nobody enters after that")
  func hardware() {
    let custody = SplitMaskCustody<HardwareMaskWord>(nil) { _ in }
    let (first, second) = (ThreadMask(rawValue: 1), ThreadMask(rawValue: 2))
    custody.publish([first, second])
    let taken = [custody.takeOver(as: first), custody.takeOver(as: second)]
    #expect(taken == [.inside, .refused(mustClose: false)])
    let nested = custody.enter(as: first)
    #expect(nested == .covered)
    let leftByTaker = custody.leave(as: first)
    #expect(!leftByTaker)
    let entered = [custody.enter(as: second), custody.enter(as: first)]
    #expect(entered == [.refused(mustClose: false), .inside])
    let closings = [custody.delete(as: second), custody.leave(as: first)]
    #expect(closings == [false, true])
    let late = custody.enter(as: first)
    #expect(late == .refused(mustClose: false))
    let end = custody.state
    #expect(end == (running: [], threads: [], mustClose: false))
  }

  @Test("a scenario is there for the roles that the protocol has verbs for")
  func verbs() {
    func exists(_ roles: [Role], _ subject: Subject) -> Bool {
      ProofScenario(custody: roles, isShared: false, subject: subject) != nil
    }
    #expect(exists([.event, .takeover, .delete], .splitMask(nil)))
    #expect(!exists([.event, .disown], .splitMask(nil)))
    #expect(exists([.event, .disown], .oneWord))
    #expect(!exists([.delete, .deleteInside], .splitMask(.doubleLast)))
    #expect(!exists([], .splitMask(nil)))
    #expect(!exists(Array(repeating: .event, count: 8), .oneWord))
  }
}

import Interleave
import Testing

/// Limits, replay, and what else the explorer promises.
@Suite("Explorer")
struct ExplorerTests {
  /// Each thread adds 1 in two steps, so that an update may be lost.
  private static func lostUpdate(_ setup: Setup, threads: Int = 2, symmetry: Int = 0) {
    let count = Word(0, "count")
    for index in 0..<threads {
      setup.thread("thread \(index)", symmetry: symmetry) {
        let found = count.word.load(.relaxed)
        count.word.store(found + 1, .relaxed)
      }
    }
    setup.finally {
      setup.require(count.word.load(.relaxed) == threads, "an update was lost")
    }
  }

  /// Each thread adds 1 in one step.
  private static func safeUpdate(_ setup: Setup, threads: Int, symmetry: Int = 0) {
    let count = Word(0, "count")
    for index in 0..<threads {
      setup.thread("thread \(index)", symmetry: symmetry) {
        for _ in 0..<2 { _ = count.word.fetchAdd(1, .relaxed) }
      }
    }
    setup.finally {
      setup.require(count.word.load(.relaxed) == 2 * threads, "an update was lost")
    }
  }

  // MARK: Replay

  @Test("a violation is replayed from its choices, whatever was left out when it was found")
  func replay() throws {
    let found = try #require(
      expectViolation("an update was lost", .c11) { Self.lostUpdate($0) })
    for (merges, prunes) in [(true, true), (false, false)] {
      var options = Explorer.Options(model: .c11)
      options.replay = found.replay.split(separator: ".").compactMap { Int($0) }
      options.mergesStates = merges
      options.prunesIndependent = prunes
      let again = Explorer.explore(options) { Self.lostUpdate($0) }
      #expect(again.violation?.message == found.message)
      #expect(again.violation?.story == found.story)
      #expect(again.executions == 1)
    }
  }

  @Test("a replay that finds nothing says that it was one execution")
  func replayOfSuccess() {
    var options = Explorer.Options()
    options.replay = []
    let report = Explorer.explore(options) { Self.safeUpdate($0, threads: 2) }
    #expect(report.executions == 1)
    #expect(report.description.hasPrefix("not exhausted (one execution was replayed)"))
  }

  @Test("choices of another scenario are refused", arguments: [[6], [-1], [99], [0, 0, 0, 0, 0]])
  func foreignChoices(_ choices: [Int]) {
    var options = Explorer.Options()
    options.replay = choices
    let report = Explorer.explore(options) { Self.safeUpdate($0, threads: 2) }
    #expect(report.description.contains("these choices are not of this scenario"))
  }

  // MARK: Determinism

  @Test("a scenario whose steps differ from run to run is reported")
  func differentSteps() {
    var runs = 0
    let report = Explorer.explore { setup in
      runs += 1
      let (words, extra) = ([Word(), Word()], runs > 1)
      setup.thread("one") {
        words[0].word.store(1, .relaxed)
        if extra { words[1].word.store(1, .relaxed) }
      }
      setup.thread("two") { words[0].word.store(2, .relaxed) }
    }
    #expect(report.description.contains("the scenario is not deterministic"), "\(report)")
  }

  @Test("a scenario whose values differ from run to run is reported")
  func differentValues() {
    var value: UInt64 = 0
    let report = Explorer.explore { setup in
      value += 1
      let word = Word()
      let mine = value
      for name in ["one", "two"] {
        setup.thread(name) {
          word.word.store(mine, .relaxed)
          _ = word.word.load(.relaxed)
        }
      }
    }
    #expect(report.description.contains("the scenario is not deterministic"), "\(report)")
  }

  // MARK: Limits

  @Test("a loop without end is no proof and no violation")
  func stepLimit() {
    var options = Explorer.Options()
    options.stepLimit = 500
    let report = Explorer.explore(options) { setup in
      let word = Word()
      setup.thread("busy") { while word.word.load(.relaxed) == 0 {} }
    }
    #expect(report.description.hasPrefix("not exhausted (no end after 500 steps"), "\(report)")
  }

  @Test("a word that is stored to without end is no proof and no violation")
  func storeLimit() {
    let report = Explorer.explore(.init(model: .c11)) { setup in
      let word = Word(0, "counter")
      setup.thread("busy") { while true { _ = word.word.fetchAdd(1, .relaxed) } }
    }
    #expect(report.description.contains("too many stores to counter"), "\(report)")
  }

  @Test("limits of executions and states end in no proof")
  func otherLimits() {
    var few = Explorer.Options()
    few.mergesStates = false
    few.executionLimit = 3
    let stopped = Explorer.explore(few) { Self.safeUpdate($0, threads: 3) }
    #expect(stopped.executions == 3)
    #expect(stopped.description.contains("stopped after 3 executions"))
    var small = Explorer.Options()
    small.stateLimit = 5
    let full = Explorer.explore(small) { Self.safeUpdate($0, threads: 3) }
    #expect(full.states == 5)
    #expect(full.description.contains("more than 5 states"))
  }

  @Test("a violation within the limits is found")
  func violationBeforeLimit() {
    var options = Explorer.Options()
    options.executionLimit = 1_000
    let report = Explorer.explore(options) { Self.lostUpdate($0, threads: 3) }
    #expect(report.violation != nil)
  }

  // MARK: Preemptions

  @Test("a bound on preemptions hides what needs more, and says so")
  func preemptionBound() {
    var options = Explorer.Options()
    options.preemptions = 0
    let none = Explorer.explore(options) { Self.lostUpdate($0) }
    #expect(none.description.contains("explored up to 0 preemptions only"))
    options.preemptions = 1
    let one = Explorer.explore(options) { Self.lostUpdate($0) }
    #expect(one.violation?.preemptions == 1)
  }

  @Test("a store that stays in its buffer interrupts nobody")
  func buffersAreNoPreemptions() {
    var options = Explorer.Options(model: .totalStoreOrder)
    options.preemptions = 0
    let report = Explorer.explore(options) { setup in
      let words = [Word(), Word()]
      let seen = Monitor([UInt64]())
      for me in 0..<2 {
        setup.thread("thread \(me)") {
          words[me].word.store(1, .relaxed)
          let other = words[1 - me].word.load(.relaxed)
          seen.update { $0.append(other) }
        }
      }
      setup.finally { setup.require(seen.current != [0, 0], "both missed") }
    }
    #expect(report.violation?.message == "both missed")
  }

  @Test("the story that is told has the fewest preemptions that there are")
  func fewestPreemptions() {
    /// Fails where it has been interrupted twice, or where the other thread came first and then
    /// was interrupted once.
    func scenario(_ setup: Setup) {
      let word = Word(0, "word")
      setup.thread("one") {
        let before = word.word.fetchAdd(1, .relaxed)
        let between = word.word.load(.relaxed)
        let after = word.word.load(.relaxed)
        setup.require(
          before == 10 || between == before + 1 || after == between, "interrupted twice")
        setup.require(before != 10, "interrupted once")
      }
      setup.thread("two") {
        _ = word.word.fetchAdd(10, .relaxed)
        _ = word.word.fetchAdd(10, .relaxed)
      }
    }
    var options = Explorer.Options()
    options.shortens = false
    let first = Explorer.explore(options) { scenario($0) }
    #expect(first.violation?.message == "interrupted twice")
    #expect((first.violation?.preemptions ?? 0) > 1)
    options.shortens = true
    let fewest = Explorer.explore(options) { scenario($0) }
    #expect(fewest.violation?.message == "interrupted once")
    #expect(fewest.violation?.preemptions == 1)
    #expect(fewest.executions == first.executions, "the figures are those of the first search")
  }

  // MARK: Symmetry

  @Test("symmetric threads are explored in one order, and nothing is missed")
  func symmetry() {
    let all = Explorer.explore { Self.safeUpdate($0, threads: 4) }
    let one = Explorer.explore { Self.safeUpdate($0, threads: 4, symmetry: 1) }
    #expect(all.isProved && one.isProved)
    #expect(one.states * 4 < all.states)
    #expect(Explorer.explore { Self.lostUpdate($0, threads: 3, symmetry: 1) }.violation != nil)
  }

  // MARK: Stories

  @Test("a story has the set-up, each step with its thread, and what went wrong")
  func story() {
    let violation = expectViolation("an update was lost", .sequentiallyConsistent) { setup in
      let count = Word(0, "count")
      setup.name(0, "the count") { "number \($0)" }
      count.word.store(5, .relaxed)
      for name in ["one", "two"] {
        setup.thread(name) {
          let found = count.word.load(.relaxed)
          count.word.store(found + 1, .releasing)
          setup.note("has added")
        }
      }
      setup.finally {
        setup.require(count.word.load(.acquiring) == 7, "an update was lost")
      }
    }
    #expect(
      violation?.story == [
        "set-up      stores the count: number 5 (relaxed)",
        "one         reads the count: number 5 (relaxed)",
        "two         reads the count: number 5 (relaxed)",
        "two         stores the count: number 6 (releasing)",
        "two         has added",
        "one         stores the count: number 6 (releasing)",
        "one         has added",
        "at the end  reads the count: number 6 (acquiring)",
        "at the end  ✗ an update was lost",
      ])
  }

  @Test("a story says what only a weak model does")
  func weakStory() {
    let buffered = expectViolation("missed", .totalStoreOrder) { setup in
      let (x, y) = (Word(0, "x"), Word(0, "y"))
      let seen = Word(9, "seen")
      setup.thread("one") {
        x.word.store(1, .relaxed)
        seen.word.store(y.word.load(.relaxed), .sequentiallyConsistent)
      }
      setup.thread("two") {
        y.word.store(1, .sequentiallyConsistent)
        let mine = x.word.load(.relaxed)
        setup.require(mine == 1 || seen.word.load(.relaxed) != 0, "missed")
      }
    }
    _ = buffered
    let old = expectViolation("old", .c11) { setup in
      let (data, flag) = (Word(0, "data"), Word(0, "flag"))
      setup.thread("one") {
        data.word.store(1, .relaxed)
        flag.word.store(1, .relaxed)
      }
      setup.thread("two") {
        if flag.word.load(.relaxed) == 1 {
          setup.require(data.word.load(.relaxed) == 1, "old")
        }
      }
    }
    #expect(old?.story.contains("two  reads data: 0 (relaxed, an older store)") == true)
  }

  // MARK: Where it runs

  @Test("explorations on several threads do not disturb each other")
  func parallel() async {
    let verdicts = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<4 {
        group.addTask {
          (0..<5).allSatisfy { _ in
            let safe = Explorer.explore(.init(model: .c11)) { Self.safeUpdate($0, threads: 3) }
            let lost = Explorer.explore(.init(model: .c11)) { Self.lostUpdate($0, threads: 2) }
            return safe.isProved && lost.violation != nil
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(verdicts == [true, true, true, true])
  }

  @Test("an exploration inside a scenario is refused in plain words")
  func nested() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Explorer.explore { _ in _ = Explorer.explore { _ in } }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("a scenario cannot explore another scenario"), "\(text)")
  }

  @Test("a model type outside a scenario is refused in plain words")
  func outsideScenario() async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Cell(0)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("model types exist only inside a scenario"), "\(text)")
  }
}

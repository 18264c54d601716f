import Interleave
import Testing

/// Limits, preemptions, symmetry, and the stories that are told.
@Suite("Explorer")
struct ExplorerTests {
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

  @Test("a loop without end of a thread that forgets is noticed", arguments: MemoryModel.allCases)
  func cycle(_ model: MemoryModel) {
    let report = Explorer.explore(.init(model: model)) { setup in
      let word = Word()
      setup.thread("busy") { while word.word.load(.relaxed) == 0 { setup.forget() } }
      setup.thread("other") { word.word.store(1, .relaxed) }
    }
    #expect(report.description.contains("came back to a state"), "\(report)")
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
    let stopped = Explorer.explore(few) { Counting.inOneStep($0, threads: 3) }
    #expect(stopped.executions == 3)
    #expect(stopped.description.contains("stopped after 3 executions"))
    var small = Explorer.Options()
    small.stateLimit = 5
    let full = Explorer.explore(small) { Counting.inOneStep($0, threads: 3) }
    #expect(full.states == 5)
    #expect(full.description.contains("more than 5 states"))
  }

  @Test("a violation within the limits is found")
  func violationBeforeLimit() {
    var options = Explorer.Options()
    options.executionLimit = 1_000
    let report = Explorer.explore(options) { Counting.inTwoSteps($0, threads: 3) }
    #expect(report.violation != nil)
  }

  // MARK: Preemptions

  @Test("a bound on preemptions hides what needs more, and says so")
  func preemptionBound() {
    var options = Explorer.Options()
    options.preemptions = 0
    let none = Explorer.explore(options) { Counting.inTwoSteps($0) }
    #expect(none.description.contains("explored up to 0 preemptions only"))
    options.preemptions = 1
    let one = Explorer.explore(options) { Counting.inTwoSteps($0) }
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

  @Test(
    "the story that is told has none but the steps that it takes", arguments: MemoryModel.allCases)
  func fewestSteps(_ model: MemoryModel) {
    func scenario(_ setup: Setup) {
      let (own, shared) = (Word(0, "own"), Word(0, "shared"))
      setup.thread("bystander") { for _ in 0..<3 { _ = own.word.fetchAdd(1, .relaxed) } }
      for name in ["one", "two"] {
        setup.thread(name) {
          let found = shared.word.exchange(1, .acquiringAndReleasing)
          setup.require(found == 0, "not the first")
        }
      }
    }
    var options = Explorer.Options(model: model)
    options.shortens = false
    #expect(Explorer.explore(options) { scenario($0) }.violation?.steps == 5)
    let violation = expectViolation("not the first", model) { scenario($0) }
    #expect(violation?.steps == 2)
    #expect(
      violation?.story == [
        "one  changes shared: 0 → 1 (acquiringAndReleasing)",
        "two  changes shared: 1 → 1 (acquiringAndReleasing)",
        "two  ✗ not the first",
      ])
  }

  // MARK: Symmetry

  @Test("symmetric threads are explored in one order, and nothing is missed")
  func symmetry() {
    let all = Explorer.explore { Counting.inOneStep($0, threads: 4) }
    let one = Explorer.explore { Counting.inOneStep($0, threads: 4, symmetry: 1) }
    #expect(all.isProved && one.isProved)
    #expect(one.states * 4 < all.states)
    #expect(Explorer.explore { Counting.inTwoSteps($0, threads: 3, symmetry: 1) }.violation != nil)
  }

  @Test("threads of two symmetry classes do not wait for each other")
  func twoClasses() {
    expectViolation("came first", .sequentiallyConsistent) { setup in
      let word = Word(0, "word")
      setup.thread("one", symmetry: 1) { word.word.store(1, .relaxed) }
      setup.thread("two", symmetry: 2) {
        setup.require(word.word.load(.relaxed) == 1, "came first")
      }
    }
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

  @Test(
    "a weak compare-and-swap fails for no reason where that is asked for, so often and not more")
  func weakFailures() {
    func explore(_ failures: Int, attempts: Int) -> Report {
      var options = Explorer.Options()
      options.weakFailures = failures
      return Explorer.explore(options) { setup in
        let word = Word()
        setup.thread("one") {
          let isDone = (0..<attempts).contains { _ in
            word.word.weakCompareExchange(expected: 0, desired: 1, .acquiring).exchanged
          }
          setup.require(isDone, "every attempt failed")
        }
      }
    }
    #expect(explore(0, attempts: 1).isProved)
    #expect(explore(1, attempts: 1).violation?.message == "every attempt failed")
    #expect(explore(1, attempts: 2).isProved)
    #expect(explore(2, attempts: 2).violation != nil)
  }
}

import Interleave
import Testing

@Suite("Determinism")
struct DeterminismTests {
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

  @Test("a word that is kept from one execution to the next is reported")
  func keptWord() {
    var kept: Word?
    let report = Explorer.explore { setup in
      let word = kept ?? Word(0, "kept")
      kept = word
      for name in ["one", "two"] { setup.thread(name) { _ = word.word.fetchAdd(1, .relaxed) } }
    }
    #expect(report.description.contains("the scenario is not deterministic"), "\(report)")
  }

  @Test("a violation that does not come about again is none")
  func violationThatVanishes() {
    var runs = 0
    let report = Explorer.explore { setup in
      runs += 1
      let isFirst = runs == 1
      setup.thread("one") { setup.require(!isFirst, "only once") }
    }
    #expect(report.description.contains("the scenario is not deterministic"), "\(report)")
  }

  /// What a thread may do, among others.
  private struct Objects {
    let words = [Word(0, "x"), Word(0, "y")]
    let lock = Lock()
    let parker = Sleep()
    let data = Cell(0)
    let heap = Heap()
    let monitor = Monitor(0)

    func act(_ kind: Int, _ setup: Setup) {
      let word = words[kind & 1]
      switch kind / 2 {
      case 0: word.word.store(1, .releasing)
      case 1: _ = word.word.load(.sequentiallyConsistent)
      case 2: _ = word.word.exchange(2, .acquiringAndReleasing)
      case 3: while word.word.load(.acquiring) == 0 { setup.spin() }
      case 4: lock.mutex.withLock { data.value += 1 }
      case 5: kind & 1 == 0 ? parker.parker.park() : parker.parker.unpark()
      case 6: heap.free(heap.allocate())
      case 7: monitor.update { $0 += kind }
      case 8: _ = Word(7, "more")
      default: _ = Cell(7)
      }
    }
  }

  @Test(
    "a scenario that does something else each time ends in a report, not in a crash or a proof",
    arguments: MemoryModel.allCases)
  func chaos(_ model: MemoryModel) {
    var generator = ProgramGenerator(seed: 5)
    var notDeterministic = 0
    for round in 0..<300 {
      var options = Explorer.Options(model: model)
      options.mergesStates = round % 2 == 0
      options.prunesIndependent = round % 3 != 0
      options.preemptions = round % 5 == 0 ? 2 : nil
      options.stepLimit = 500
      // From which execution on it is another one each time.
      let steady = [1, 3, 20][round % 3]
      var runs = 0
      var kinds: [[Int]] = []
      let report = Explorer.explore(options) { setup in
        runs += 1
        if runs == 1 || runs > steady {
          kinds = (0..<2 + generator.next(below: 2)).map { _ in
            (0..<3).map { _ in generator.next(below: 20) }
          }
        }
        let objects = Objects()
        for (index, kinds) in kinds.enumerated() {
          setup.thread("thread \(index)") { for kind in kinds { objects.act(kind, setup) } }
        }
      }
      // What changes late can go unnoticed: an execution is compared with the one before as far
      // as it repeats it.
      #expect(!report.isProved || steady > 1, "round \(round): \(report)")
      notDeterministic += report.description.contains("not deterministic") ? 1 : 0
    }
    #expect(notDeterministic > 100)
  }
}

import Interleave
import Testing

/// States that differ in one thing only, of which the second one leads to a violation.
@Suite("Merging")
struct MergingTests {
  private typealias Thread = (name: String, body: () -> Void)

  /// Expects a violation in whatever order the threads are tried.
  private static func expectInAnyOrder(
    _ message: String, _ model: MemoryModel, location: SourceLocation = #_sourceLocation,
    _ scenario: (Setup) -> [Thread]
  ) {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      expectViolation(message, model, location: location) { setup in
        let threads = scenario(setup)
        for index in order { setup.thread(threads[index].name, threads[index].body) }
      }
    }
  }

  @Test("states differ in what a store or a thread carries along", arguments: [false, true])
  func clocks(overwrites: Bool) {
    // The reader has the flag from the thread that releases or from the one that does not, which
    // leaves the same values read; if it overwrites the flag, the same memory too.
    Self.expectInAnyOrder("data race: nothing orders the read of data", .sequentiallyConsistent) {
      _ in
      let (flag, done, moment) = (Word(0, "flag"), Word(0, "done"), Word(0, "moment"))
      let data = Cell(0)
      return [
        (
          "writer",
          {
            data.value = 1
            flag.word.store(1, .releasing)
            _ = done.word.fetchAdd(1, .relaxed)
          }
        ),
        (
          "reader",
          {
            guard done.word.load(.relaxed) == 2 else { return }
            _ = flag.word.load(.acquiring)
            if overwrites { flag.word.store(2, .relaxed) }
            if moment.word.load(.relaxed) == 1 { _ = data.value }
          }
        ),
        (
          "other",
          {
            flag.word.store(1, .relaxed)
            _ = done.word.fetchAdd(1, .relaxed)
            // Whoever just runs on misses it.
            for value in [1, 2] as [UInt64] { moment.word.store(value, .relaxed) }
          }
        ),
      ]
    }
  }

  /// Stores 1, 2 and 1 again.
  private static func thrice(_ word: Word, _ done: Word) {
    for value in [1, 2, 1] as [UInt64] { word.word.store(value, .relaxed) }
    done.word.store(1, .relaxed)
  }

  @Test("states differ in which of two equal stores a thread has read")
  func views() {
    expectViolation("read 1 and then 2", .c11) { setup in
      let (word, done) = (Word(0, "word"), Word(0, "done"))
      setup.thread("writer") { Self.thrice(word, done) }
      setup.thread("reader") {
        guard done.word.load(.relaxed) == 1, word.word.load(.relaxed) == 1 else { return }
        setup.require(word.word.load(.relaxed) != 2, "read 1 and then 2")
      }
    }
  }

  @Test("states differ in which of two equal stores a thread has told of")
  func toldViews() {
    expectViolation("told of 1 and read 2", .c11) { setup in
      let (word, done, flag) = (Word(0, "word"), Word(0, "done"), Word(0, "flag"))
      setup.thread("writer") { Self.thrice(word, done) }
      setup.thread("teller") {
        guard done.word.load(.relaxed) == 1, word.word.load(.relaxed) == 1 else { return }
        flag.word.store(1, .releasing)
      }
      setup.thread("reader") {
        guard flag.word.load(.acquiring) == 1 else { return }
        setup.require(word.word.load(.relaxed) != 2, "told of 1 and read 2")
      }
    }
  }

  @Test("states differ in the order of sequentially consistent operations")
  func consistentOrder() {
    expectViolation("2 after 1", .c11) { setup in
      let (word, done, other, go) = (Word(0, "word"), Word(0, "done"), Word(0, "other"), Word(0))
      setup.thread("writer") { Self.thrice(word, done) }
      setup.thread("first") {
        guard done.word.load(.relaxed) == 1,
          word.word.load(.sequentiallyConsistent) == 1,
          other.word.load(.sequentiallyConsistent) == 0
        else { return }
        go.word.store(1, .relaxed)
      }
      setup.thread("second") {
        guard go.word.load(.relaxed) == 1 else { return }
        other.word.store(1, .sequentiallyConsistent)
        setup.require(word.word.load(.sequentiallyConsistent) != 2, "2 after 1")
      }
    }
  }

  // MARK: A store that comes before what was executed earlier

  @Test("a store that comes late and takes an early place moves what others have read")
  func insertedBeforeConsistentLoad() {
    var (isFirst, isLast) = (false, false)
    expectProof(.c11) { setup in
      let (word, other, go) = (Word(0, "word"), Word(0, "other"), [Word(0), Word(0)])
      var read: UInt64 = 0
      setup.thread("writer") { word.word.store(1, .relaxed) }
      setup.thread("first") {
        guard word.word.load(.sequentiallyConsistent) == 1,
          other.word.load(.sequentiallyConsistent) == 0
        else { return }
        go[0].word.store(1, .relaxed)
      }
      setup.thread("late") {
        guard go[0].word.load(.relaxed) == 1 else { return }
        word.word.store(2, .relaxed)
        go[1].word.store(1, .relaxed)
      }
      setup.thread("second") {
        guard go[1].word.load(.relaxed) == 1 else { return }
        other.word.store(1, .sequentiallyConsistent)
        read = word.word.load(.sequentiallyConsistent)
      }
      setup.finally {
        let last = word.word.load(.relaxed)
        if read == 2 { isLast = true }
        if read == 1 && last == 1 { isFirst = true }
        setup.require(!(read == 2 && last == 1), "went back behind the first one's load")
      }
    }
    #expect(isFirst && isLast)
  }

  @Test("a store that takes an early place wakes nobody who has read a later one")
  func insertedBeforeWaiter() {
    expectProof(.c11) { setup in
      let (word, go, done) = (Word(0, "word"), Word(0, "go"), Word(0, "done"))
      setup.thread("waiter") {
        var last: UInt64?
        while true {
          let found = word.word.load(.relaxed)
          setup.require(found != last, "looked in vain")
          if found == 5 { return }
          last = found
          if found == 1 { go.word.store(1, .relaxed) }
          setup.spin()
        }
      }
      setup.thread("writer") {
        word.word.store(1, .relaxed)
        while done.word.load(.acquiring) == 0 { setup.spin() }
        word.word.store(5, .relaxed)
      }
      setup.thread("late") {
        while go.word.load(.relaxed) == 0 { setup.spin() }
        word.word.store(2, .relaxed)
        done.word.store(1, .releasing)
      }
    }
  }
}

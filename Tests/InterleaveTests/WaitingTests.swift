import Interleave
import Testing

@Suite("Loops that wait")
struct WaitingTests {
  @Test("loops that wait for each other end, whoever comes first", arguments: MemoryModel.allCases)
  func spinning(_ model: MemoryModel) {
    expectProof(model) { setup in
      let (ping, pong) = (Word(0, "ping"), Word(0, "pong"))
      setup.thread("one") {
        for round in 1...3 as ClosedRange<UInt64> {
          ping.word.store(round, .releasing)
          while pong.word.load(.acquiring) != round { setup.spin() }
        }
      }
      setup.thread("two") {
        for round in 1...3 as ClosedRange<UInt64> {
          while ping.word.load(.acquiring) != round { setup.spin() }
          pong.word.store(round, .releasing)
        }
      }
    }
  }

  @Test(
    "a loop over two words wakes when the first changes while it reads the second",
    arguments: MemoryModel.allCases)
  func spinningOnTwoWords(_ model: MemoryModel) {
    expectProof(model) { setup in
      let words = [Word(), Word()]
      setup.thread("waiter") {
        while words[0].word.load(.relaxed) == 0 && words[1].word.load(.relaxed) == 0 {
          setup.spin()
        }
      }
      setup.thread("waker") { words[0].word.store(1, .relaxed) }
    }
  }

  @Test("a loop that nobody ends is a deadlock that names what it waits for")
  func spinningForEver() {
    for model in MemoryModel.allCases {
      expectViolation("deadlock: waiter waits for a change of flag", model) { setup in
        let (flag, other) = (Word(0, "flag"), Word(0, "other"))
        setup.thread("waiter") { while flag.word.load(.relaxed) == 0 { setup.spin() } }
        setup.thread("busy") { other.word.store(1, .relaxed) }
      }
    }
  }

  @Test("two loops that store what is there already do not keep each other awake")
  func silentStores() {
    for model in MemoryModel.allCases {
      expectViolation("deadlock: one waits for a change of lock; two waits", model) { setup in
        let lock = Word(1, "lock")
        for name in ["one", "two"] {
          setup.thread(name) { while lock.word.exchange(1, .acquiring) == 1 { setup.spin() } }
        }
      }
    }
  }

  @Test(
    "a loop that reads an old value and then learns that it is old looks again",
    arguments: MemoryModel.allCases)
  func learnsThatItIsOld(_ model: MemoryModel) {
    expectProof(model) { setup in
      let (data, flag) = (Word(0, "data"), Word(0, "flag"))
      setup.thread("waiter") {
        while true {
          let found = data.word.load(.relaxed)
          _ = flag.word.load(.acquiring)
          if found == 1 { return }
          setup.spin()
        }
      }
      setup.thread("waker") {
        data.word.store(1, .relaxed)
        flag.word.store(1, .releasing)
      }
    }
  }

  @Test(
    "a loop that reads an old value and then a newer one looks again",
    arguments: MemoryModel.allCases)
  func readsTwice(_ model: MemoryModel) {
    expectProof(model) { setup in
      let flag = Word(0, "flag")
      setup.thread("waiter") {
        while true {
          let found = flag.word.load(.relaxed)
          _ = flag.word.load(.relaxed)
          if found == 1 { return }
          setup.spin()
        }
      }
      setup.thread("waker") { flag.word.store(1, .relaxed) }
    }
  }

  @Test("a loop over two words learns of their changes in any order")
  func changesInAnyOrder() {
    for first in 0..<2 {
      expectViolation("one after the other", .c11) { setup in
        let words = [Word(0, "x"), Word(0, "y")]
        let done = Word(0, "done")
        setup.thread("waiter") {
          guard done.word.load(.relaxed) == 1 else { return }
          var looks: [[UInt64]] = []
          while looks.last != [1, 1] {
            if !looks.isEmpty { setup.spin() }
            looks.append(words.map { $0.word.load(.relaxed) })
          }
          let between: [UInt64] = first == 0 ? [1, 0] : [0, 1]
          setup.require(looks != [[0, 0], between, [1, 1]], "one after the other")
        }
        setup.thread("waker") {
          for word in words { word.word.store(1, .relaxed) }
          done.word.store(1, .relaxed)
        }
      }
    }
  }

  @Test("a loop that has read nothing yet does not sleep", arguments: MemoryModel.allCases)
  func spinsFirst(_ model: MemoryModel) {
    expectProof(model) { setup in
      let flag = Word(0, "flag")
      setup.thread("waiter") { repeat { setup.spin() } while flag.word.load(.relaxed) == 0 }
      setup.thread("waker") { flag.word.store(1, .relaxed) }
    }
  }

  @Test("a look that finds nothing new in one word may find a later change of another")
  func laterChange() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      expectViolation("the second only", .c11) { setup in
        let words = [Word(0, "x"), Word(0, "y")]
        let done = Word(0, "done")
        let threads: [(String, () -> Void)] = [
          (
            "waiter",
            {
              guard done.word.load(.relaxed) == 1 else { return }
              let first = words.map { $0.word.load(.relaxed) }
              guard first == [0, 0] else { return }
              setup.spin()
              let second = words.map { $0.word.load(.relaxed) }
              setup.require(second != [0, 1], "the second only")
            }
          ),
          (
            "early",
            {
              words[0].word.store(1, .relaxed)
              done.word.store(1, .relaxed)
            }
          ),
          ("late", { words[1].word.store(1, .relaxed) }),
        ]
        for index in order { setup.thread(threads[index].0, threads[index].1) }
      }
    }
  }

  @Test("a loop does not wait for what it has stored itself", arguments: MemoryModel.allCases)
  func ownStores(_ model: MemoryModel) {
    expectViolation("deadlock: waiter waits for a change of word", model) { setup in
      let word = Word(0, "word")
      setup.thread("waiter") {
        var looks = 0
        while word.word.load(.relaxed) != 2 {
          looks += 1
          setup.require(looks == 1, "looked in vain")
          word.word.store(1, .relaxed)
          setup.spin()
        }
      }
      setup.thread("other") { _ = word.word.load(.relaxed) }
    }
  }
}

import Interleave

/// Threads that count, and may or may not lose an update.
enum Counting {
  /// Each thread adds 1 in two steps, so that an update may be lost.
  static func inTwoSteps(_ setup: Setup, threads: Int = 2, symmetry: Int = 0) {
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

  /// Each thread adds 1 twice, in one step each time.
  static func inOneStep(_ setup: Setup, threads: Int = 2, symmetry: Int = 0) {
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
}

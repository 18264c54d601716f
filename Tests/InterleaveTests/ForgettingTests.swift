import Interleave
import Testing

/// What makes two states different though no model type holds it, and what does not though one did.
@Suite("Guarded and forgotten data")
struct ForgettingTests {
  /// In the order of the lock.
  private final class Log {
    var entries: [Int] = []
  }

  @Test(
    "states are kept apart by what a lock guards, although it is in no model type",
    arguments: [
      [1, 1, 2, 2], [1, 2, 1, 2], [1, 2, 2, 1], [2, 1, 1, 2], [2, 1, 2, 1], [2, 2, 1, 1],
    ],
    1...2)
  func guardedData(order: [Int], later: Int) {
    for model in MemoryModel.allCases {
      expectViolation("found", model) { setup in
        let (lock, log, last) = (Lock(), Log(), Word())
        for number in 1...2 {
          setup.thread("\(number)") {
            for _ in 0..<2 { lock.mutex.withLock { log.entries.append(number) } }
            last.word.store(UInt64(number), .releasing)
          }
        }
        setup.finally {
          let isLater = last.word.load(.relaxed) == UInt64(later)
          setup.require(log.entries != order || !isLater, "found")
        }
      }
    }
  }

  @Test("states are fewer if threads forget, and what they keep is not lost")
  func forgetting() {
    func explore(forgets: Bool, mayLose: Bool) -> Report {
      Explorer.explore { setup in
        let word = Word()
        for number in 1...3 {
          setup.thread("\(number)") {
            let before = word.word.fetchAdd(1, .acquiringAndReleasing)
            if forgets { setup.forget(allBut: before == 0 ? 1 : 0) }
            let isFirst = before == 0
            word.word.store(isFirst ? 10 : 20, .releasing)
          }
        }
        setup.finally {
          let value = word.word.load(.relaxed)
          setup.require(!mayLose || value != 10, "the first stored last")
        }
      }
    }
    #expect(explore(forgets: true, mayLose: true).violation?.message == "the first stored last")
    let (all, fewer) = (
      explore(forgets: false, mayLose: false), explore(forgets: true, mayLose: false)
    )
    #expect(all.isProved && fewer.isProved)
    #expect(fewer.states < all.states)
  }
}

import Interleave
import Testing

@Suite("Publication")
struct PublicationTests {
  private final class Shared {
    let isReady = Word(0, "ready")
    let mutex = ModelMutex()
    let value = Cell(0, named: "the value")
  }

  /// Initialises a value at its first use.
  private static func lazily(_ setup: Setup, _ firstLook: Ordering, _ publication: Ordering) {
    let shared = Shared()
    for name in ["one", "two"] {
      setup.thread(name, symmetry: 1) {
        if shared.isReady.word.load(firstLook) == 0 {
          shared.mutex.withLock {
            guard shared.isReady.word.load(.relaxed) == 0 else { return }
            shared.value.value += 42
            shared.isReady.word.store(1, publication)
          }
        }
        setup.require(shared.value.value == 42, "not initialised, or twice")
      }
    }
  }

  @Test(
    "double-checked initialisation passes with acquire and release", arguments: MemoryModel.allCases
  )
  func doubleChecked(_ model: MemoryModel) {
    expectProof(model) { Self.lazily($0, .acquiring, .releasing) }
  }

  @Test(
    "double-checked initialisation with a relaxed load is a race", arguments: MemoryModel.allCases)
  func relaxedLoad(_ model: MemoryModel) {
    expectViolation("data race: nothing orders the read of the value", model) {
      Self.lazily($0, .relaxed, .releasing)
    }
  }

  @Test(
    "double-checked initialisation with a relaxed store is a race", arguments: MemoryModel.allCases)
  func relaxedStore(_ model: MemoryModel) {
    expectViolation("data race: nothing orders the read of the value", model) {
      Self.lazily($0, .acquiring, .relaxed)
    }
  }

  /// Hands an object over that a thread has made.
  private static func handOver(_ setup: Setup, _ ordering: Ordering) {
    let box = Word(0, "box")
    let content = Cell<Word?>(nil)
    setup.thread("maker") {
      content.value = Word(7, "made by a thread")
      box.word.store(1, .releasing)
    }
    setup.thread("taker") {
      guard box.word.load(ordering) == 1 else { return }
      setup.require(content.value?.word.load(.relaxed) == 7, "something else")
    }
  }

  @Test("what a thread makes can be handed over", arguments: MemoryModel.allCases)
  func handOver(_ model: MemoryModel) {
    expectProof(model) { Self.handOver($0, .acquiring) }
  }

  @Test("a word that a thread has made races with a use that does not know of it")
  func raceWithInitialisation() {
    // Handed over past the model, as by an index that everybody can compute.
    final class Past { var word: Word? }
    expectViolation("data race: taker uses made by a thread", .c11) { setup in
      let past = Past()
      let flag = Word(0, "flag")
      setup.thread("maker") {
        past.word = Word(7, "made by a thread")
        flag.word.store(1, .releasing)
      }
      setup.thread("taker") {
        if flag.word.load(.relaxed) == 1 { _ = past.word?.word.load(.relaxed) }
      }
    }
    expectViolation("data race: nothing orders the read of data by taker", .c11) { setup in
      final class PastCell { var cell: Cell<Int>? }
      let past = PastCell()
      let flag = Word(0, "flag")
      setup.thread("maker") {
        past.cell = Cell(7)
        flag.word.store(1, .releasing)
      }
      setup.thread("taker") {
        if flag.word.load(.relaxed) == 1 { _ = past.cell?.value }
      }
    }
  }
}

import Interleave
import Testing

@Suite("Event counts")
struct EventCountTests {
  /// A consumer that says that it sleeps before it sleeps, and a producer that wakes who says so.
  private static func scenario(_ setup: Setup, _ ordering: Ordering, looksAgain: Bool) {
    let item = Word(0, "item")
    let isAsleep = Word(0, "asleep")
    let parker = Sleep("the consumer's sleep")
    let (loads, stores) =
      ordering == .sequentiallyConsistent
      ? (Ordering.sequentiallyConsistent, Ordering.sequentiallyConsistent)
      : (.acquiring, .releasing)
    setup.thread("consumer") {
      while item.word.load(loads) == 0 {
        isAsleep.word.store(1, stores)
        if looksAgain && item.word.load(loads) != 0 { break }
        parker.parker.park()
      }
    }
    setup.thread("producer") {
      item.word.store(1, stores)
      if isAsleep.word.load(loads) == 1 { parker.parker.unpark() }
    }
  }

  @Test("mark, look again, sleep: no wake-up is lost", arguments: MemoryModel.allCases)
  func correct(_ model: MemoryModel) {
    expectProof(model) { Self.scenario($0, .sequentiallyConsistent, looksAgain: true) }
  }

  @Test("who does not look again loses a wake-up", arguments: MemoryModel.allCases)
  func noSecondLook(_ model: MemoryModel) {
    let violation = expectViolation("deadlock: consumer is parked on", model) {
      Self.scenario($0, .sequentiallyConsistent, looksAgain: false)
    }
    // In C11 it takes none: the consumer may read what is no longer true.
    #expect(violation?.preemptions == (model == .c11 ? 0 : 1))
  }

  @Test("release and acquire lose a wake-up", arguments: [MemoryModel.totalStoreOrder, .c11])
  func weak(_ model: MemoryModel) {
    expectViolation("deadlock: consumer is parked on", model) {
      Self.scenario($0, .acquiring, looksAgain: true)
    }
  }
}

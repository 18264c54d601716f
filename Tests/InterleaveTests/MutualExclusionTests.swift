import Interleave
import Testing

@Suite("Locks")
struct MutualExclusionTests {
  // MARK: Peterson's lock

  /// Two threads, each once through a critical section that touches plain data.
  static func peterson(
    _ setup: Setup, _ loads: Ordering, _ stores: Ordering, touchesData: Bool = true
  ) {
    let wants = [Word(0, "0 wants"), Word(0, "1 wants")]
    let turn = Word(0, "turn")
    let inside = Monitor(0, named: "threads inside")
    let data = Cell(0)
    for me in 0..<2 {
      let other = 1 - me
      setup.thread("thread \(me)") {
        wants[me].word.store(1, stores)
        turn.word.store(UInt64(other), stores)
        while wants[other].word.load(loads) == 1 && turn.word.load(loads) == other {
          setup.spin()
        }
        let count = inside.update { count in
          count += 1
          return count
        }
        setup.require(count == 1, "both are inside")
        if touchesData { data.value += 1 }
        inside.update { $0 -= 1 }
        wants[me].word.store(0, stores)
      }
    }
    setup.finally {
      setup.require(data.value == (touchesData ? 2 : 0), "an update was lost")
    }
  }

  @Test(
    "Peterson's lock excludes if it is sequentially consistent", arguments: MemoryModel.allCases)
  func peterson(_ model: MemoryModel) {
    expectProof(model) {
      Self.peterson($0, .sequentiallyConsistent, .sequentiallyConsistent)
    }
  }

  @Test(
    "Peterson's lock without fences lets both in",
    arguments: [MemoryModel.totalStoreOrder, .c11])
  func petersonWithoutFences(_ model: MemoryModel) {
    expectViolation("both are inside", model) {
      Self.peterson($0, .acquiring, .releasing, touchesData: false)
    }
    expectViolation("data race", model) { Self.peterson($0, .acquiring, .releasing) }
  }

  @Test("under sequential consistency, Peterson's lock needs no more than release and acquire")
  func petersonWithoutReordering() {
    expectProof(.sequentiallyConsistent) { Self.peterson($0, .acquiring, .releasing) }
  }

  // MARK: A spin lock

  static func spinLock(_ setup: Setup, _ locks: Ordering, _ unlocks: Ordering) {
    let lock = Word(0, "lock")
    let data = Cell(0)
    for name in ["one", "two", "three"] {
      setup.thread(name, symmetry: 1) {
        while lock.word.exchange(1, locks) == 1 { setup.spin() }
        data.value += 1
        lock.word.store(0, unlocks)
      }
    }
    setup.finally { setup.require(data.value == 3, "an update was lost") }
  }

  @Test(
    "a spin lock that acquires and releases orders what it guards", arguments: MemoryModel.allCases)
  func spinLock(_ model: MemoryModel) {
    expectProof(model) { Self.spinLock($0, .acquiring, .releasing) }
  }

  @Test("a spin lock that does not is a data race", arguments: MemoryModel.allCases)
  func relaxedSpinLock(_ model: MemoryModel) {
    expectViolation("data race", model) { Self.spinLock($0, .acquiring, .relaxed) }
    expectViolation("data race", model) { Self.spinLock($0, .relaxed, .releasing) }
  }

  // MARK: Dining philosophers

  private static func philosophers(_ setup: Setup, inOrder: Bool) {
    let forks = (0..<3).map { Lock("fork \($0)") }
    let meals = Monitor(0, named: "meals")
    for me in 0..<3 {
      let (left, right) = (me, (me + 1) % 3)
      let (first, second) = inOrder ? (min(left, right), max(left, right)) : (left, right)
      setup.thread("philosopher \(me)") {
        forks[first].mutex.withLock { forks[second].mutex.withLock { meals.update { $0 += 1 } } }
      }
    }
    setup.finally { setup.require(meals.current == 3, "somebody starved") }
  }

  @Test(
    "philosophers who all begin on their left end in a deadlock", arguments: MemoryModel.allCases)
  func philosophers(_ model: MemoryModel) {
    let violation = expectViolation("deadlock", model) { Self.philosophers($0, inOrder: false) }
    #expect(
      violation?.message
        == """
        deadlock: philosopher 0 waits to lock fork 1, held by philosopher 1; \
        philosopher 1 waits to lock fork 2, held by philosopher 2; \
        philosopher 2 waits to lock fork 0, held by philosopher 0
        """)
    // Only the first one has to be interrupted.
    #expect(violation?.preemptions == 1)
    #expect(
      violation?.story == [
        "philosopher 0  locks fork 0", "philosopher 2  locks fork 2",
        "philosopher 1  locks fork 1", "at the end     ✗ " + (violation?.message ?? ""),
      ])
  }

  @Test("philosophers who begin with the lower fork all eat", arguments: MemoryModel.allCases)
  func orderedPhilosophers(_ model: MemoryModel) {
    expectProof(model) { Self.philosophers($0, inOrder: true) }
  }
}

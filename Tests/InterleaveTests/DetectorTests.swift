import Interleave
import Testing

/// Races on plain data, and misuse of memory that is freed by hand.
@Suite("Detectors")
struct DetectorTests {
  private static func twoThreads(
    _ setup: Setup, _ one: @escaping () -> Void, _ two: @escaping () -> Void
  ) {
    setup.thread("one", one)
    setup.thread("two", two)
  }

  // MARK: Plain data

  @Test("two unordered writes are a race, even of threads that do nothing else")
  func writes() {
    expectViolation("data race: nothing orders the write of data by two", .sequentiallyConsistent) {
      let data = Cell(0)
      Self.twoThreads($0, { data.value = 1 }, { data.value = 2 })
    }
  }

  @Test("an unordered read and write are a race, in whichever order they come")
  func readAndWrite() {
    for flip in [false, true] {
      expectViolation("data race", .sequentiallyConsistent) {
        let data = Cell(0)
        let (read, write) = ({ _ = data.value }, { data.value = 1 })
        Self.twoThreads($0, flip ? write : read, flip ? read : write)
      }
    }
  }

  @Test("reads of many threads are none", arguments: MemoryModel.allCases)
  func reads(_ model: MemoryModel) {
    expectProof(model) { setup in
      let data = Cell(1)
      for name in ["one", "two", "three"] {
        setup.thread(name) { setup.require(data.value == 1, "something else") }
      }
    }
  }

  @Test("a write after one of two reads is a race with the other")
  func secondReader() {
    expectViolation("reader 2", .c11) { setup in
      let data = Cell(0)
      let done = Word(0, "done")
      setup.thread("reader 1") {
        _ = data.value
        done.word.store(1, .releasing)
      }
      setup.thread("reader 2") { _ = data.value }
      setup.thread("writer") {
        while done.word.load(.acquiring) == 0 { setup.spin() }
        data.value = 1
      }
    }
  }

  @Test("a lock orders what it guards", arguments: MemoryModel.allCases)
  func lock(_ model: MemoryModel) {
    expectProof(model) { setup in
      let lock = Lock()
      let data = Cell(0)
      for name in ["one", "two"] {
        setup.thread(name) { lock.mutex.withLock { data.value += 1 } }
      }
      setup.thread("three") { lock.mutex.withLockIfAvailable { data.value += 1 } }
    }
  }

  @Test("a try that fails to lock orders nothing")
  func failedTry() {
    expectViolation("data race", .c11) { setup in
      let lock = Lock()
      let (isWritten, isHeld) = (Word(0, "written"), Word(0, "held"))
      let data = Cell(0)
      setup.thread("writer") {
        lock.mutex.withLock { data.value = 1 }
        isWritten.word.store(1, .relaxed)
      }
      setup.thread("holder") {
        lock.mutex.withLock {
          if isWritten.word.load(.relaxed) == 1 { isHeld.word.store(1, .relaxed) }
        }
      }
      setup.thread("reader") {
        guard isHeld.word.load(.relaxed) == 1 else { return }
        if lock.mutex.withLockIfAvailable({}) == nil { _ = data.value }
      }
    }
  }

  @Test("what comes after a release is not covered by it", arguments: MemoryModel.allCases)
  func afterRelease(_ model: MemoryModel) {
    expectViolation("data race: nothing orders the read of data", model) { setup in
      let flag = Word(0, "flag")
      let (early, late) = (Cell(0, named: "early data"), Cell(0))
      setup.thread("writer") {
        early.value = 1
        flag.word.store(1, .releasing)
        late.value = 1
      }
      setup.thread("reader") {
        guard flag.word.load(.acquiring) == 1 else { return }
        _ = early.value
        _ = late.value
      }
    }
  }

  @Test("an unpark orders what came before it", arguments: MemoryModel.allCases)
  func unpark(_ model: MemoryModel) {
    expectProof(model) { setup in
      let sleep = Sleep()
      let data = Cell(0)
      setup.thread("waker") {
        data.value = 1
        sleep.parker.unpark()
      }
      setup.thread("sleeper") {
        sleep.parker.park()
        setup.require(data.value == 1, "woken early")
      }
    }
  }

  @Test("a monitor orders nothing", arguments: MemoryModel.allCases)
  func monitor(_ model: MemoryModel) {
    expectViolation("data race", model) { setup in
      let monitor = Monitor(false)
      let data = Cell(0)
      setup.thread("one") {
        data.value = 1
        monitor.update { $0 = true }
      }
      setup.thread("two") { if monitor.current { _ = data.value } }
    }
  }

  @Test("a monitor between a store and a load drains no buffer, a lock does")
  func drains() {
    func scenario(_ setup: Setup, _ load: @escaping (Int, () -> Void) -> Void) {
      let words = [Word(0, "x"), Word(0, "y")]
      var observed: [UInt64] = [9, 9]
      for me in 0..<2 {
        setup.thread("thread \(me)") {
          words[me].word.store(1, .releasing)
          load(me) { observed[me] = words[1 - me].word.load(.acquiring) }
        }
      }
      setup.finally { setup.require(observed != [0, 0], "both missed") }
    }
    expectViolation("both missed", .totalStoreOrder) {
      let monitors = [Monitor(0), Monitor(0)]
      scenario($0) { me, load in
        monitors[me].update { $0 += 1 }
        load()
      }
    }
    expectProof(.totalStoreOrder) {
      let locks = [Lock(), Lock()]
      scenario($0) { me, load in locks[me].mutex.withLock(load) }
    }
  }

  @Test("what total store order orders all the same, relaxed operations still race on")
  func orderingsUnderTotalStoreOrder() {
    func scenario(_ setup: Setup, _ ordering: Ordering) {
      let flag = Word(0, "flag")
      let data = Cell(0)
      setup.thread("one") {
        data.value = 1
        flag.word.store(1, ordering)
      }
      setup.thread("two") { if flag.word.load(.acquiring) == 1 { _ = data.value } }
    }
    expectProof(.totalStoreOrder) { scenario($0, .releasing) }
    expectViolation("data race", .totalStoreOrder) { scenario($0, .relaxed) }
  }

  // MARK: Memory that is freed by hand

  /// A block that one thread frees and another one uses, if it has seen the flag that it looks for.
  private static func blockScenario(_ setup: Setup, usesAfterFlag: Bool) {
    let heap = Heap()
    let block = heap.allocate()
    let isDone = Word(0, "done")
    setup.thread("user") {
      if usesAfterFlag && isDone.word.load(.acquiring) == 1 { return }
      heap.use(block)
      isDone.word.store(1, .releasing)
    }
    setup.thread("owner") {
      if !usesAfterFlag {
        while isDone.word.load(.acquiring) == 0 { setup.spin() }
      } else {
        isDone.word.store(1, .releasing)
      }
      heap.free(block)
    }
  }

  @Test("a use after a free is found, and a free that waits for the use passes")
  func useAfterFree() {
    for model in MemoryModel.allCases {
      expectViolation("block 0", model) { Self.blockScenario($0, usesAfterFlag: true) }
      expectProof(model) { Self.blockScenario($0, usesAfterFlag: false) }
    }
  }

  @Test("a free that nothing orders after a use is found, though it comes later")
  func freeWhileInUse() {
    expectViolation("owner frees block 0 while user may be using it", .c11) { setup in
      let heap = Heap()
      let block = heap.allocate()
      let isDone = Word(0, "done")
      setup.thread("user") {
        heap.use(block)
        isDone.word.store(1, .relaxed)
      }
      setup.thread("owner") {
        while isDone.word.load(.acquiring) == 0 { setup.spin() }
        heap.free(block)
      }
    }
  }

  @Test("a use of a block that was freed and allocated again is found")
  func useAfterReuse() {
    expectViolation("block 0", .sequentiallyConsistent) { setup in
      let heap = Heap()
      let block = heap.allocate()
      let state = Word(0, "state")
      setup.thread("user") {
        if state.word.load(.relaxed) == 1 { heap.use(block) }
      }
      setup.thread("owner") {
        heap.free(block)
        let again = heap.allocate()
        setup.require(again == block, "the lowest free block is reused")
        state.word.store(1, .relaxed)
        while state.word.load(.relaxed) == 0 { setup.spin() }
        heap.free(again)
      }
    }
  }

  @Test("a leak is found")
  func leak() {
    expectViolation("leak: block 1 was never freed", .sequentiallyConsistent) { setup in
      let heap = Heap()
      let kept = heap.allocate()
      setup.thread("one") { _ = heap.allocate() }
      setup.finally { heap.free(kept) }
    }
  }

  @Test("a double free is found")
  func doubleFree() {
    expectViolation("frees block 0 a second time", .sequentiallyConsistent) { setup in
      let heap = Heap()
      let block = heap.allocate()
      Self.twoThreads(setup, { heap.free(block) }, { heap.free(block) })
    }
  }

  @Test("an allocator hands a block on with all that came before its free")
  func allocatorOrders() {
    expectProof(.c11) { setup in
      let heap = Heap()
      let data = Cell(0)
      let block = heap.allocate()
      setup.thread("first") {
        data.value = 1
        heap.free(block)
      }
      setup.thread("second") {
        let mine = heap.allocate()
        if mine == block { data.value = 2 }
        heap.free(mine)
      }
    }
  }

  @Test("an allocator hands a block on with none of what came after its free")
  func allocatorOrdersNoMore() {
    expectViolation("data race", .sequentiallyConsistent) { setup in
      let heap = Heap()
      let data = Cell(0)
      let block = heap.allocate()
      setup.thread("first") {
        heap.free(block)
        data.value = 1
      }
      setup.thread("second") {
        let mine = heap.allocate()
        if mine == block { _ = data.value }
        heap.free(mine)
      }
    }
  }

  @Test("who gets a block reads nothing older than who freed it")
  func allocatorPassesViews() {
    expectProof(.c11) { setup in
      let heap = Heap()
      let block = heap.allocate()
      let (word, go) = (Word(0, "word"), Word(0, "go"))
      var read: UInt64 = 1
      setup.thread("first") {
        word.word.store(1, .relaxed)
        heap.free(block)
        go.word.store(1, .relaxed)
      }
      setup.thread("late") { if go.word.load(.relaxed) == 1 { word.word.store(2, .relaxed) } }
      setup.thread("second") {
        let mine = heap.allocate()
        if mine == block { read = word.word.load(.relaxed) }
        heap.free(mine)
      }
      setup.finally {
        let last = word.word.load(.relaxed)
        setup.require(read != 0 && !(read == 2 && last == 1), "read what had been overwritten")
      }
    }
  }
}

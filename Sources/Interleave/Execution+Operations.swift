// What the operations do to the memory. Each runs in its thread's fiber, after its turn has come.

extension Execution {
  var thread: UnsafeMutablePointer<ModelThread> { threads.advanced(by: current) }

  // MARK: Atomic operations

  func load(_ location: UInt8, _ ordering: Ordering) -> UInt64 {
    step(Operation(kind: .load, location: location, ordering: ordering))
    if let own = bufferedValue(location) {
      thread.pointee.history.mix(own)
      trace?.note("reads", location, own, ordering, from: "its own buffer", by: current, memory)
      return own
    }
    let index: Int
    if model == .c11 && current != Self.outside {
      var oldest = Int(thread.pointee.view.positions[Int(location)])
      if ordering == .sequentiallyConsistent { oldest = max(oldest, memory.lastConsistent(location)) }
      let last = memory.storeCount(location) - 1
      // The newest is the first choice.
      index = last - search.chooseValue(last - oldest + 1, UInt32(location))
    } else {
      index = memory.storeCount(location) - 1
    }
    return read(location, index, ordering)
  }

  /// The thread reads that store.
  private func read(_ location: UInt8, _ index: Int, _ ordering: Ordering) -> UInt64 {
    let store = memory.store(location, index)
    observe(location, index)
    if ordering.acquires { acquire(store) }
    thread.pointee.history.mix(store.value)
    let isOld = index < memory.storeCount(location) - 1
    trace?.note(
      "reads", location, store.value, ordering, from: isOld ? "an older store" : nil, by: current,
      memory)
    return store.value
  }

  @inline(__always)
  private func observe(_ location: UInt8, _ index: Int) {
    if model == .c11 { thread.pointee.view.positions[Int(location)] = UInt8(index) }
  }

  @inline(__always)
  private func acquire(_ store: Store) {
    thread.pointee.clock.join(store.clock)
    if model == .c11 { thread.pointee.view.join(store.view) }
  }

  /// What a store carries for those who will acquire from it; `base` is the store that it continues.
  @inline(__always)
  private func makeStore(_ value: UInt64, _ ordering: Ordering, continuing base: Store?) -> Store {
    var store = Store(value: value)
    if let base {
      // A read-modify-write goes on with the release sequence of what it has read.
      store.clock = base.clock
      store.view = base.view
      store.follows = true
    }
    if ordering.releases {
      store.clock.join(thread.pointee.clock)
      if model == .c11 { store.view.join(thread.pointee.view) }
      // What the thread does from here on is not covered by this release.
      thread.pointee.clock.counts[current] &+= 1
    }
    return store
  }

  func store(_ location: UInt8, _ value: UInt64, _ ordering: Ordering) {
    step(Operation(kind: .store, location: location, ordering: ordering))
    if model == .totalStoreOrder && ordering != .sequentiallyConsistent && current != Self.outside {
      let clock = makeStore(value, ordering, continuing: nil).clock
      thread.pointee.buffer.append(
        ModelThread.Buffered(location: location, value: value, clock: clock))
      trace?.note("buffers", location, value, ordering, from: nil, by: current, memory)
      return
    }
    trace?.note("stores", location, value, ordering, from: nil, by: current, memory)
    let store = makeStore(value, ordering, continuing: nil)
    guard model == .c11 else { return replace(location, store) }
    guard current != Self.outside else {
      return finishPut(store, location, at: memory.storeCount(location), ordering)
    }
    var after = Int(thread.pointee.view.positions[Int(location)])
    if ordering == .sequentiallyConsistent { after = max(after, memory.lastConsistent(location)) }
    put(store, location, after: after, ordering)
  }

  private func replace(_ location: UInt8, _ store: Store) {
    memory.replaceLatest(location, with: store)
    storeCount += 1
  }

  /// The store comes anywhere in the modification order after that place, save between a
  /// read-modify-write and what it has read. The end is the first choice.
  private func put(_ store: Store, _ location: UInt8, after: Int, _ ordering: Ordering) {
    let count = memory.storeCount(location)
    var places = 1
    for index in stride(from: count - 1, to: after, by: -1)
    where !memory.store(location, index).follows { places += 1 }
    var choice = search.chooseValue(places, UInt32(location) | 0x100)
    var place = count
    while choice > 0 {
      place -= 1
      if !memory.store(location, place).follows { choice -= 1 }
    }
    finishPut(store, location, at: place, ordering)
  }

  private func finishPut(_ store: Store, _ location: UInt8, at place: Int, _ ordering: Ordering) {
    guard memory.insert(store, location, at: place, threads) else {
      return fail("too many stores to \(memory.name(location)): a loop that makes no progress?")
    }
    observe(location, place)
    if ordering == .sequentiallyConsistent { memory.noteConsistent(location, at: place) }
    storeCount += 1
  }

  /// Reads and writes in one step.
  func modify(
    _ location: UInt8, _ ordering: Ordering, kind: Operation.Kind = .modify,
    _ change: (UInt64) -> UInt64
  ) -> UInt64 {
    step(Operation(kind: kind, location: location, ordering: ordering))
    let index = chooseModified(location, ordering, expected: nil)
    let found = memory.store(location, index)
    complete(location, index, found, change(found.value), ordering)
    return found.value
  }

  func compareExchange(
    _ location: UInt8, _ expected: UInt64, _ desired: UInt64, _ ordering: Ordering
  ) -> (exchanged: Bool, original: UInt64) {
    step(Operation(kind: .compareExchange, location: location, ordering: ordering))
    let index = chooseModified(location, ordering, expected: expected)
    let found = memory.store(location, index)
    guard found.value == expected else {
      return (false, read(location, index, .relaxed))
    }
    complete(location, index, found, desired, ordering)
    return (true, expected)
  }

  /// Which store a read-modify-write reads: one that no other has followed. A compare-and-swap that
  /// finds another value than it expects only reads.
  private func chooseModified(_ location: UInt8, _ ordering: Ordering, expected: UInt64?) -> Int {
    let last = memory.storeCount(location) - 1
    guard model == .c11 && current != Self.outside else { return last }
    var oldest = Int(thread.pointee.view.positions[Int(location)])
    if ordering == .sequentiallyConsistent { oldest = max(oldest, memory.lastConsistent(location)) }
    func isPossible(_ index: Int) -> Bool {
      if let expected, memory.store(location, index).value != expected { return true }
      return index == last || !memory.store(location, index + 1).follows
    }
    var places = 0
    for index in oldest...last where isPossible(index) { places += 1 }
    var choice = search.chooseValue(places, UInt32(location) | 0x200)
    var index = last
    while true {
      if isPossible(index) {
        if choice == 0 { return index }
        choice -= 1
      }
      index -= 1
    }
  }

  private func complete(
    _ location: UInt8, _ index: Int, _ found: Store, _ value: UInt64, _ ordering: Ordering
  ) {
    trace?.note("changes", location, found.value, to: value, ordering, by: current, memory)
    observe(location, index)
    if ordering.acquires { acquire(found) }
    thread.pointee.history.mix(found.value)
    let store = makeStore(value, ordering, continuing: found)
    if model == .c11 {
      finishPut(store, location, at: index + 1, ordering)
    } else {
      replace(location, store)
    }
  }

  // MARK: Store buffers

  private func bufferedValue(_ location: UInt8) -> UInt64? {
    guard !thread.pointee.buffer.isEmpty else { return nil }
    return thread.pointee.buffer.last { $0.location == location }?.value
  }

  /// The oldest store in a thread's buffer becomes visible to all.
  func flush(_ index: Int) {
    let oldest = threads[index].buffer.removeFirst()
    trace?.note("flushes", oldest.location, oldest.value, .relaxed, from: nil, by: index, memory)
    replace(oldest.location, Store(value: oldest.value, clock: oldest.clock))
  }

  // MARK: Waiting

  /// Sleeps until another thread has stored something.
  func spin() {
    guard current != Self.outside else { return }
    thread.pointee.storesSeen = storeCount
    step(Operation(kind: .spin))
    if thread.pointee.storesSeen == storeCount && model == .c11 {
      thread.pointee.view = memory.latestView()
    }
  }

  // MARK: Locks and the like, whose order is the order of their execution

  /// Always reads and writes the latest value, and orders all before with all after.
  func synchronise(_ location: UInt8, _ kind: Operation.Kind, _ change: (UInt64) -> UInt64) -> UInt64 {
    step(Operation(kind: kind, location: location, ordering: .acquiringAndReleasing))
    let index = memory.storeCount(location) - 1
    let found = memory.store(location, index)
    complete(location, index, found, change(found.value), .acquiringAndReleasing)
    return found.value
  }

  // MARK: Monitors

  /// The turn of an update has come when this returns.
  func watchPoint(_ location: UInt8) { step(Operation(kind: .monitor, location: location)) }

  /// The update has made the state one with this hash, and told the thread something with that one.
  func watched(_ location: UInt8, _ value: UInt64, observed: UInt64) {
    memory.replaceLatest(location, with: Store(value: value))
    thread.pointee.history.mix(observed)
  }

  func name(of index: Int) -> String {
    index < names.count ? names[index] : "the set-up"
  }
}

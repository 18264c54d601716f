// What atomic operations do to the memory. Each runs in its thread's fiber, after its turn has
// come.

extension Execution {
  @inline(__always)
  var thread: UnsafeMutablePointer<ModelThread> { threads.advanced(by: current) }

  /// Whether the operation may read something else than the latest store. What the set-up does
  /// comes before everything, and what the checks do comes after.
  @inline(__always)
  private var isWeak: Bool { model == .c11 && current != Self.outside }

  // MARK: Loads and stores

  func load(_ location: UInt8, _ ordering: Ordering) -> UInt64 {
    step(.load, location)
    checkMade(location)
    if let own = bufferedValue(location) {
      noteRead(location, own)
      note("reads \(describe(location, own)) (from its own buffer)")
      return own
    }
    guard isWeak else { return read(location, memory.storeCount(location) - 1, ordering) }
    let place = choose(
      from: memory.storeCount(location) - 1, downTo: thread.pointee.view[location], location
    ) { place in
      ordering != .sequentiallyConsistent
        || memory.consistent.allows(
          location, below: 2 * place + 1, above: 2 * place + 2, thread.pointee.consistent)
    }
    if ordering == .sequentiallyConsistent {
      noteConsistent(location, rank: 2 * place + 1, above: 2 * place + 2)
    }
    return read(location, place, ordering)
  }

  /// The thread reads that store.
  private func read(_ location: UInt8, _ place: Int, _ ordering: Ordering) -> UInt64 {
    let store = memory.store(location, place)
    if model == .c11 {
      thread.pointee.view[location] = place
      noteSeen(location, place)
    }
    if ordering.acquires { acquire(store) }
    noteRead(location, store.pointee.value)
    note(
      "reads \(describe(location, store.pointee.value)) (\(ordering)"
        + (place < memory.storeCount(location) - 1 ? ", an older store)" : ")"))
    return store.pointee.value
  }

  func store(_ location: UInt8, _ value: UInt64, _ ordering: Ordering) {
    let isBuffered =
      model == .totalStoreOrder && ordering != .sequentiallyConsistent && current != Self.outside
    step(isBuffered ? .buffer : .store, location)
    checkMade(location)
    thread.pointee.history.mix(value)
    let store = makeStore(value, ordering, continuing: nil)
    if isBuffered {
      note("buffers \(describe(location, value)) (\(ordering))")
      thread.pointee.buffer.append(
        ModelThread.Buffered(location: location, value: value, clock: store.clock))
      return
    }
    let end = memory.storeCount(location)
    guard isWeak else {
      note("stores \(describe(location, value)) (\(ordering))")
      return model == .c11
        ? put(store, location, at: end, ordering) : replace(location, store, by: current)
    }
    // Anywhere after what the thread knows, save between a read-modify-write and what it has read.
    let place = choose(from: end, downTo: thread.pointee.view[location] + 1, location) { place in
      (place == end || !memory.store(location, place).pointee.follows)
        && allows(location, storeAt: place, ordering)
    }
    note(
      "stores \(describe(location, value)) (\(ordering)"
        + (place < end ? ", before a newer store)" : ")"))
    put(store, location, at: place, ordering)
  }

  // MARK: Read-modify-writes

  /// Reads and writes in one step.
  func modify(
    _ location: UInt8, _ ordering: Ordering, _ change: (UInt64) -> UInt64
  ) -> UInt64 {
    step(.modify, location)
    checkMade(location)
    let place = chooseModified(location, ordering, expected: nil)
    let found = memory.store(location, place).pointee.value
    complete(location, place, change(found), ordering)
    return found
  }

  func compareExchange(
    _ location: UInt8, _ expected: UInt64, _ desired: UInt64, _ ordering: Ordering,
    isWeak: Bool = false
  ) -> (exchanged: Bool, original: UInt64) {
    step(.compareExchange, location)
    checkMade(location)
    let place = chooseModified(location, ordering, expected: expected)
    let found = memory.store(location, place).pointee.value
    guard found == expected, !(isWeak && failsForNoReason(location)) else {
      return (false, read(location, place, .relaxed))
    }
    complete(location, place, desired, ordering)
    return (true, expected)
  }

  private func failsForNoReason(_ location: UInt8) -> Bool {
    guard thread.pointee.weakFailures > 0, search.chooseValue(2, UInt32(location)) == 1 else {
      return false
    }
    thread.pointee.weakFailures -= 1
    return true
  }

  /// Which store a read-modify-write reads: one that no other has followed. A compare-and-swap that
  /// finds another value than it expects only reads.
  private func chooseModified(_ location: UInt8, _ ordering: Ordering, expected: UInt64?) -> Int {
    let last = memory.storeCount(location) - 1
    guard isWeak else { return last }
    return choose(from: last, downTo: thread.pointee.view[location], location) { place in
      if let expected, memory.store(location, place).pointee.value != expected { return true }
      return (place == last || !memory.store(location, place + 1).pointee.follows)
        && allows(location, storeAt: place + 1, ordering)
    }
  }

  /// The thread reads that store and puts one behind it.
  private func complete(_ location: UInt8, _ place: Int, _ value: UInt64, _ ordering: Ordering) {
    let found = memory.store(location, place)
    note(
      "changes \(describe(location, found.pointee.value)) → "
        + "\(memory.describe(value, at: location)) (\(ordering))")
    if ordering.acquires { acquire(found) }
    if model == .c11 { noteSeen(location, place) }
    noteRead(location, found.pointee.value)
    let store = makeStore(value, ordering, continuing: found)
    if model == .c11 {
      put(store, location, at: place + 1, ordering)
    } else {
      replace(location, store, by: current)
    }
  }

  // MARK: Parts of these

  /// One of the places that may be taken; the newest is the first choice.
  @inline(__always)
  private func choose(
    from newest: Int, downTo oldest: Int, _ location: UInt8, where isPossible: (Int) -> Bool
  ) -> Int {
    var count = 0
    for place in oldest...newest where isPossible(place) { count += 1 }
    var choice = search.chooseValue(count, UInt32(location))
    var place = newest
    while true {
      if isPossible(place) {
        if choice == 0 { return place }
        choice -= 1
      }
      place -= 1
    }
  }

  /// The history and what a later spin waits for.
  @inline(__always)
  func noteRead(_ location: UInt8, _ value: UInt64) {
    thread.pointee.history.mix(value)
    thread.pointee.watch(location)
  }

  /// The thread reads that store; if it watches the location, it may see that what it read there
  /// before is not true any more.
  @inline(__always)
  private func noteSeen(_ location: UInt8, _ place: Int) {
    if thread.pointee.watches(location)
      && memory.store(location, thread.pointee.seen[location]).pointee.value
        != memory.store(location, place).pointee.value
    {
      thread.pointee.isStirred = true
    }
    thread.pointee.seen[location] = place
  }

  @inline(__always)
  func acquire(_ store: UnsafeMutablePointer<Store>) {
    thread.pointee.clock.join(store.pointee.clock)
    guard model == .c11 else { return }
    thread.pointee.view.join(store.pointee.view)
    thread.pointee.consistent.join(store.pointee.consistent)
  }

  /// What a store carries for those who will acquire from it; `base` is the store that it
  /// continues.
  func makeStore(
    _ value: UInt64, _ ordering: Ordering, continuing base: UnsafeMutablePointer<Store>?
  ) -> Store {
    var store = Store(value: value)
    if let base {
      // A read-modify-write goes on with the release sequence of what it has read.
      store = base.pointee
      store.value = value
      store.follows = true
    }
    if ordering.releases {
      store.clock.join(thread.pointee.clock)
      if model == .c11 {
        store.view.join(thread.pointee.view)
        store.consistent.join(thread.pointee.consistent)
      }
      // What the thread does from here on is not covered by this release.
      thread.pointee.clock[current] += 1
    }
    return store
  }

  /// The store becomes the only one that there is.
  func replace(_ location: UInt8, _ store: Store, by writer: Int) {
    let latest = memory.latest(location)
    if latest.pointee.value != store.value { stir(location, by: writer) }
    latest.pointee = store
  }

  /// The store takes that place in the modification order.
  private func put(_ store: Store, _ location: UInt8, at place: Int, _ ordering: Ordering) {
    guard !memory.isFull(location) else {
      return giveUp("too many stores to \(memory.name(location)): a loop without progress?")
    }
    memory.insert(store, location, at: place, threads)
    thread.pointee.view[location] = place
    thread.pointee.seen[location] = place
    if ordering == .sequentiallyConsistent && current != Self.outside {
      noteConsistent(location, rank: 2 * place, above: 2 * place)
    }
  }

  @inline(__always)
  private func allows(_ location: UInt8, storeAt place: Int, _ ordering: Ordering) -> Bool {
    ordering != .sequentiallyConsistent
      || memory.consistent.allows(
        location, below: 2 * place, above: 2 * place, thread.pointee.consistent)
  }

  private func noteConsistent(_ location: UInt8, rank: Int, above: Int) {
    guard !memory.consistent.isFull(current) else {
      return giveUp(
        "more than \(ConsistentOrder.limit) sequentially consistent operations of one thread")
    }
    memory.consistent.add(
      current, location, rank: rank, above: above, &thread.pointee.consistent)
  }

  /// The first value of a word is no atomic store: who uses the word must know of its making.
  @inline(__always)
  func checkMade(_ location: UInt8) {
    guard !memory.isMade(location, for: thread.pointee.clock) else { return }
    fail(
      "data race: \(name(of: current)) uses \(memory.name(location)), and nothing orders that "
        + "after its initialisation")
  }

  // MARK: Store buffers

  @inline(__always)
  private func bufferedValue(_ location: UInt8) -> UInt64? {
    guard model == .totalStoreOrder, !thread.pointee.buffer.isEmpty else { return nil }
    return thread.pointee.buffer.last { $0.location == location }?.value
  }

  /// The oldest store in a thread's buffer becomes visible to all.
  func flush(_ index: Int) {
    let oldest = threads[index].buffer.removeFirst()
    if trace != nil && failure == nil {
      note(by: index, "flushes \(describe(oldest.location, oldest.value))")
    }
    replace(oldest.location, Store(value: oldest.value, clock: oldest.clock), by: index)
  }
}

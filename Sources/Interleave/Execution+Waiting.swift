// Operations that are no atomic ones: waiting, locks and the like, and what a scenario keeps count
// of.

extension Execution {
  // MARK: Loops that wait for a change

  /// Sleeps until another look may find something else than the thread has read since it last spun.
  /// If it has read nothing yet, it goes on.
  ///
  /// In C11 a load may return an old value again and again, but not for ever. Looks that find what
  /// the one before found make no difference, so the next one finds something new in at least one
  /// word, and any word that has something new may be that one.
  func spin() {
    guard current != Self.outside else { return }
    step(.spin, Operation.nowhere)
    thread.pointee.history.mix(0x5B1)
    if model == .c11 && !thread.pointee.isStirred && thread.pointee.watched != 0 { findNews() }
    note("looks again")
    thread.pointee.isStirred = false
    thread.pointee.watched = 0
  }

  /// The first store that the thread may read and that differs from what it has read last, if it
  /// watches the location and there is one.
  private func news(of location: UInt8, for thread: UnsafeMutablePointer<ModelThread>) -> Int? {
    guard thread.pointee.watches(location) else { return nil }
    let value = memory.store(location, thread.pointee.seen[location]).pointee.value
    return (thread.pointee.view[location]..<memory.storeCount(location)).first {
      memory.store(location, $0).pointee.value != value
    }
  }

  /// Whether another look may find something else (C11; elsewhere a thread is stirred then).
  func hasNews(_ thread: UnsafeMutablePointer<ModelThread>) -> Bool {
    guard model == .c11 else { return false }
    return (0..<UInt8(memory.count)).contains { news(of: $0, for: thread) != nil }
  }

  /// Makes one of the words with something new one whose old value cannot be read any more.
  private func findNews() {
    let locations = (0..<UInt8(memory.count)).filter { news(of: $0, for: thread) != nil }
    let location = locations[search.chooseValue(locations.count, UInt32(Operation.nowhere))]
    thread.pointee.view[location] = news(of: location, for: thread).unsafelyUnwrapped
  }

  /// The latest store to the location has got another value.
  @inline(__always)
  func stir(_ location: UInt8, by writer: Int) {
    for index in 0..<threadCount where index != writer && threads[index].watches(location) {
      threads[index].isStirred = true
    }
  }

  // MARK: Locks and parkers, whose operations take effect in the order of their execution

  /// A lock's value is 0 or 1 + the thread that holds it.
  func lock(_ location: UInt8) {
    step(.lock, location)
    takeLock(location)
  }

  func tryLock(_ location: UInt8) -> Bool {
    step(.tryLock, location)
    guard memory.latest(location).pointee.value == 0 else {
      // A try that fails orders nothing.
      noteRead(location, 1)
      note("finds \(memory.name(location)) locked")
      return false
    }
    takeLock(location)
    return true
  }

  /// Whatever data the lock guards, the thread can now see what the last holder made of it.
  private func takeLock(_ location: UInt8) {
    synchronise(location, UInt64(current) + 1, .acquiring, "locks")
    thread.pointee.history.mix(memory.stamp(location))
  }

  func unlock(_ location: UInt8) {
    step(.unlock, location)
    synchronise(location, 0, .releasing, "unlocks")
    memory.setStamp(location, thread.pointee.history)
  }

  func park(_ location: UInt8) {
    step(.park, location)
    synchronise(location, 0, .acquiring, "is woken from")
  }

  func unpark(_ location: UInt8) {
    step(.unpark, location)
    synchronise(location, 1, .releasing, "ends")
  }

  /// A read-modify-write of the latest value.
  private func synchronise(
    _ location: UInt8, _ value: UInt64, _ ordering: Ordering, _ verb: String
  ) {
    checkMade(location)
    let found = memory.latest(location)
    note("\(verb) \(memory.name(location))")
    if ordering.acquires { acquire(found) }
    noteRead(location, found.pointee.value)
    replace(location, makeStore(value, ordering, continuing: found), by: current)
  }

  // MARK: Monitors

  /// The turn of an update has come when this returns.
  func monitorStep(_ location: UInt8) { step(.monitor, location) }

  /// The update has made the state one with that fingerprint, and told the thread something with
  /// this hash. It orders nothing.
  func monitorUpdated(_ location: UInt8, _ state: Digest, observed: UInt64) {
    noteRead(location, observed)
    memory.setStamp(location, state)
    replace(location, Store(value: state.high), by: current)
  }

  // MARK: The heap

  /// The lowest block that is free, as an allocator that reuses memory at once would return it.
  func allocate() -> Int {
    step(.heap, Operation.allocator)
    let block: Int
    if let free = memory.blocks.firstIndex(where: { !$0.isLive }) {
      block = free
      memory.blocks[block].allocate(by: &thread.pointee, current)
    } else {
      block = memory.blocks.count
      memory.blocks.append(BlockState(by: thread.pointee, current))
    }
    thread.pointee.history.mix(UInt64(block))
    note("allocates block \(block)")
    return block
  }

  func use(_ block: Int) {
    guard block < memory.blocks.count, memory.blocks[block].isLive else {
      return fail("\(name(of: current)) uses block \(block) after it was freed")
    }
    note("uses block \(block)")
    if let racer = memory.blocks[block].cell.read(by: &thread.pointee, current) {
      fail(
        "\(name(of: current)) uses block \(block), which \(name(of: racer)) has allocated, and "
          + "nothing orders that after the allocation")
    }
  }

  func free(_ block: Int) {
    step(.heap, Operation.allocator)
    thread.pointee.history.mix(UInt64(block))
    note("frees block \(block)")
    guard block < memory.blocks.count, memory.blocks[block].isLive else {
      return fail("\(name(of: current)) frees block \(block) a second time")
    }
    if let racer = memory.blocks[block].free(by: &thread.pointee, current) {
      fail(
        "\(name(of: current)) frees block \(block) while \(name(of: racer)) may be using it")
    }
  }
}

// What an execution consists of, and what the search asks about it.

extension Execution {
  /// A location that the running thread makes. Its number is something that the thread observes,
  /// since it depends on what others have made before.
  func makeLocation(_ value: UInt64, _ name: String) -> UInt8 {
    let location = memory.makeLocation(
      value, name, by: current, at: thread.pointee.clock[current])
    thread.pointee.history.mix(value)
    thread.pointee.history.mix(UInt64(location))
    return location
  }

  func makeCell() -> Int {
    memory.cells.append(CellState(by: thread.pointee, current))
    thread.pointee.history.mix(UInt64(memory.cells.count))
    return memory.cells.count - 1
  }

  /// See `Setup.forget(allBut:line:)`.
  func forget(allBut rest: UInt64, at line: UInt64) {
    thread.pointee.history = Digest()
    thread.pointee.history.mix(rest)
    thread.pointee.history.mix(line)
    // What it waits for, if it spins next.
    thread.pointee.history.mix(UInt64(thread.pointee.watched))
    thread.pointee.history.mix(thread.pointee.seen)
  }

  /// A short fingerprint of where the execution stands, to find scenarios that are not
  /// deterministic: it must be the same whenever the same choices have been made.
  @inline(__always)
  func signature(of enabled: UInt16) -> UInt32 {
    var hash = UInt64(enabled)
    for index in 0..<threadCount {
      let thread = threads.advanced(by: index)
      let operation = thread.pointee.pending
      hash =
        (hash ^ UInt64(operation.kind.rawValue) &<< 8 ^ UInt64(operation.location)) &* 0x0100_0193
      hash = (hash ^ thread.pointee.history.low) &* 0x9E37_79B1_85EB_CA87
    }
    return UInt32(truncatingIfNeeded: hash &>> 32)
  }

  /// Whether the order of two different actions makes a difference, to anybody.
  func conflict(_ a: Int, _ b: Int) -> Bool {
    let (first, second) = (min(a, b), max(a, b))
    guard second >= 8 else {
      let (one, other) = (threads[first].pending, threads[second].pending)
      // A change of what a spinning thread watches wakes it.
      if one.kind == .spin { return other.writes && threads[first].watches(other.location) }
      if other.kind == .spin { return one.writes && threads[second].watches(one.location) }
      return one.conflicts(with: other)
    }
    let flushed = threads[second - 8].buffer[0].location
    if first >= 8 { return threads[first - 8].buffer[0].location == flushed }
    if first == second - 8 { return true }
    let operation = threads[first].pending
    if operation.kind == .spin { return threads[first].watches(flushed) }
    return operation.location == flushed && operation.kind != .buffer
  }

  /// All that can make a difference from here on.
  func digest() -> Digest {
    var digest = Digest()
    let base = model == .c11 ? memory.oldestNeeded(threads, threadCount) : nil
    for index in 0..<threadCount {
      let thread = threads.advanced(by: index)
      digest.mix(thread.pointee.history)
      if thread.pointee.status == .finished && thread.pointee.buffer.isEmpty {
        digest.mix(0xF1)
        continue
      }
      digest.mix(thread.pointee.clock)
      digest.mix(
        UInt64(thread.pointee.buffer.count) << 16 | UInt64(thread.pointee.weakFailures) << 1
          | (thread.pointee.isStirred ? 1 : 0))
      for entry in thread.pointee.buffer {
        digest.mix(UInt64(entry.location))
        digest.mix(entry.value)
        digest.mix(entry.clock)
      }
      if let base {
        digest.mix(thread.pointee.view.relative(to: base))
        digest.mix(thread.pointee.consistent)
      }
    }
    memory.mix(into: &digest, from: base)
    return digest
  }
}

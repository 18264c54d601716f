// What the race detector knows of data that is not atomic.

/// Who has touched a piece of plain data.
///
/// A write races with every access that its thread's clock does not cover, a read with such a
/// write. The last write is enough to know: the ones before it are ordered before it, or a race has
/// been reported.
struct CellState {
  private(set) var lastWriter: Int
  private(set) var lastWrite: Int
  private(set) var reads = Clock()
  /// Stands for the value: a thread is deterministic, so what it had observed and done when it
  /// wrote tells what it wrote.
  private var stamp: Digest

  /// Made by that thread, which counts as a write.
  init(by thread: borrowing ModelThread, _ index: Int) {
    lastWriter = index
    lastWrite = thread.clock[index]
    stamp = thread.history
  }

  /// - Returns: whom the access races with, or nil.
  mutating func read(by thread: inout ModelThread, _ index: Int) -> Int? {
    thread.history.mix(stamp)
    reads[index] = thread.clock[index]
    return thread.clock[lastWriter] >= lastWrite ? nil : lastWriter
  }

  /// - Returns: whom the access races with, or nil.
  mutating func write(by thread: borrowing ModelThread, _ index: Int) -> Int? {
    let racer = unordered(with: thread, index)
    lastWriter = index
    lastWrite = thread.clock[index]
    reads = Clock()
    stamp = thread.history
    stamp.mix(UInt64(index))
    return racer
  }

  private func unordered(with thread: borrowing ModelThread, _ index: Int) -> Int? {
    if thread.clock[lastWriter] < lastWrite { return lastWriter }
    return (0..<Clock.threads).first { $0 != index && thread.clock[$0] < reads[$0] }
  }

  func mix(into digest: inout Digest) {
    digest.mix(UInt64(lastWriter) << 16 | UInt64(lastWrite))
    digest.mix(reads)
    digest.mix(stamp)
  }
}

/// A block of memory that a scenario allocates and frees by hand. Allocation and free are accesses
/// like writes of plain data, uses like reads.
struct BlockState {
  var isLive = true
  var cell: CellState
  /// What the thread knew that freed it: an allocator orders the free before the next allocation.
  var freed = Store(value: 0)

  init(by thread: borrowing ModelThread, _ index: Int) {
    cell = CellState(by: thread, index)
  }

  mutating func allocate(by thread: inout ModelThread, _ index: Int) {
    isLive = true
    thread.clock.join(freed.clock)
    thread.view.join(freed.view)
    thread.consistent.join(freed.consistent)
    _ = cell.write(by: thread, index)
  }

  /// - Returns: whom the free races with, or nil.
  mutating func free(by thread: inout ModelThread, _ index: Int) -> Int? {
    let racer = cell.write(by: thread, index)
    isLive = false
    freed.clock = thread.clock
    freed.view = thread.view
    freed.consistent = thread.consistent
    thread.clock[index] += 1
    return racer
  }

  func mix(into digest: inout Digest, from base: View?) {
    digest.mix(isLive ? 1 : 2)
    cell.mix(into: &digest)
    guard !isLive else { return }
    digest.mix(freed.clock)
    if let base {
      digest.mix(freed.view.relative(to: base))
      digest.mix(freed.consistent)
    }
  }
}

/// A piece of a Swift task that waits for its turn on a loop.
///
/// It owns nothing: the task keeps its executor, and the executor its home, until the job has run.
struct LoopJob {
  let job: UnownedJob
  /// Of the executor that the task prefers; nil if that is the loop itself.
  let home: Unmanaged<TaskHome>?
}

/// The jobs of a loop, first in first out: a ring that doubles when it is full. The loop's thread is
/// the only one in here.
struct JobQueue: ~Copyable {
  private var ring = UnsafeMutableBufferPointer<LoopJob>.allocate(capacity: 64)
  /// Of the oldest.
  private var first = 0
  private(set) var count = 0

  deinit { ring.deallocate() }

  var isEmpty: Bool { count == 0 }

  /// The capacity is a power of two.
  @inline(__always)
  private func place(_ index: Int) -> Int { (first &+ index) & (ring.count &- 1) }

  mutating func append(_ job: LoopJob) {
    if count == ring.count { grow() }
    ring.initializeElement(at: place(count), to: job)
    count += 1
  }

  mutating func popFirst() -> LoopJob? {
    guard count > 0 else { return nil }
    let job = ring.moveElement(from: first)
    first = place(1)
    count -= 1
    return job
  }

  private mutating func grow() {
    let larger = UnsafeMutableBufferPointer<LoopJob>.allocate(capacity: ring.count * 2)
    for index in 0..<count {
      larger.initializeElement(at: index, to: ring.moveElement(from: place(index)))
    }
    ring.deallocate()
    ring = larger
    first = 0
  }
}

import Glibc

/// Bytes on their way from one who has them to one who cannot take them yet, in order. Takes no
/// memory while it is empty.
package struct ByteQueue: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  private var start = 0
  private var end = 0

  private static var smallestCapacity: Int { 4096 }

  package init() {}

  deinit { free(base) }

  @inline(__always)
  package var count: Int { end - start }
  @inline(__always)
  package var isEmpty: Bool { start == end }

  /// All of them. Valid until the next change.
  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0) + start }, count: count)
  }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    makeRoom(for: bytes.count)
    (base.unsafelyUnwrapped + end).copyMemory(from: source, byteCount: bytes.count)
    end += bytes.count
  }

  /// Drops the first bytes, and all memory with the last one.
  package mutating func removeFirst(_ count: Int) {
    precondition(0...self.count ~= count)
    start += count
    if isEmpty { removeAll() }
  }

  package mutating func removeAll() {
    free(base)
    base = nil
    (capacity, start, end) = (0, 0, 0)
  }

  /// Moves the bytes to the front if that frees half of the memory, so that a byte is moved less
  /// than twice on average; otherwise doubles the memory.
  private mutating func makeRoom(for extra: Int) {
    guard end + extra > capacity else { return }
    let needed = count + extra
    if let base, needed <= capacity, start >= capacity / 2 {
      memmove(base, base + start, count)
    } else {
      let larger = max(needed, capacity * 2, Self.smallestCapacity)
      guard let fresh = malloc(larger) else {
        fatalError("out of memory: \(larger) bytes of a queue")
      }
      if let base { memcpy(fresh, base + start, count) }
      free(base)
      base = fresh
      capacity = larger
    }
    (start, end) = (0, count)
  }
}

// MARK: - Memory that is used again

extension ByteQueue {
  /// The memory of queues that are empty: what would be allocated and freed for every message of a
  /// loop is passed from one queue to the next, the one that is still in the cache first.
  struct Reserve: ~Copyable {
    private var small = Blocks(size: 4 << 10, limit: 4096)
    private var large = Blocks(size: Self.largestSize, limit: 64)
    /// In bytes.
    static var largestSize: Int { 64 << 10 }

    /// Blocks of one size, not more than the limit; the rest is the allocator's.
    private struct Blocks: ~Copyable {
      let size: Int
      let limit: Int
      private var blocks: [UnsafeMutableRawPointer] = []

      init(size: Int, limit: Int) {
        self.size = size
        self.limit = limit
      }

      deinit { for block in blocks { free(block) } }

      @inline(__always)
      mutating func take() -> UnsafeMutableRawPointer {
        if let block = blocks.popLast() { return block }
        guard let block = malloc(size) else {
          fatalError("out of memory: \(size) bytes of a queue")
        }
        return block
      }

      @inline(__always)
      mutating func put(_ block: UnsafeMutableRawPointer) {
        if blocks.count < limit { blocks.append(block) } else { free(block) }
      }
    }

    @inline(__always)
    fileprivate mutating func take(atLeast count: Int) -> (UnsafeMutableRawPointer, Int) {
      count <= small.size ? (small.take(), small.size) : (large.take(), large.size)
    }

    @inline(__always)
    fileprivate mutating func put(_ block: UnsafeMutableRawPointer, _ capacity: Int) {
      if capacity == small.size { small.put(block) } else { large.put(block) }
    }
  }

  /// As `append`, with memory of the reserve, whose largest block holds all of it.
  @inline(__always)
  mutating func append(_ bytes: UnsafeRawBufferPointer, from reserve: inout Reserve) {
    if end + bytes.count > capacity {
      let fresh = reserve.take(atLeast: count + bytes.count)
      if let base {
        fresh.0.copyMemory(from: base + start, byteCount: count)
        reserve.put(base, capacity)
      }
      (base, capacity) = fresh
      (start, end) = (0, count)
    }
    append(bytes)
  }

  /// As `removeFirst`, of a queue with memory of the reserve.
  @inline(__always)
  mutating func removeFirst(_ count: Int, to reserve: inout Reserve) {
    start += count
    if isEmpty, let base {
      reserve.put(base, capacity)
      self.base = nil
      (capacity, start, end) = (0, 0, 0)
    }
  }
}

import Glibc

/// The bytes that a socket has refused so far, in order. Takes no memory while it is empty.
struct OutputBuffer: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  private var start = 0
  private var end = 0

  private static let smallestCapacity = 4096

  deinit { free(base) }

  var count: Int { end - start }
  var isEmpty: Bool { start == end }

  /// All of them. Valid until the next change.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0) + start }, count: count)
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
    makeRoom(for: bytes.count)
    (base.unsafelyUnwrapped + end).copyMemory(from: source, byteCount: bytes.count)
    end += bytes.count
  }

  /// Drops the first bytes, and all memory with the last one.
  mutating func removeFirst(_ count: Int) {
    precondition(0...self.count ~= count)
    start += count
    if isEmpty { removeAll() }
  }

  mutating func removeAll() {
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
        fatalError("out of memory: \(larger) bytes of output")
      }
      if let base { memcpy(fresh, base + start, count) }
      free(base)
      base = fresh
      capacity = larger
    }
    (start, end) = (0, count)
  }
}

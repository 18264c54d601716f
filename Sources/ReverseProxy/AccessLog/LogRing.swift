import Glibc
import Synchronization

/// Lines on their way from one thread, which puts them in, to another, which takes bytes out. Neither
/// ever waits for the other: a line for which there is no room is refused.
///
/// `head` is where the next byte is put, `tail` where the next one is taken from, both counted from
/// the beginning of time. Each is written by one thread: `head` after the bytes (release), and read
/// by the other before it looks at them (acquire); `tail` likewise after the bytes were read.
final class LogRing: @unchecked Sendable {
  /// A power of two.
  static let capacity = 512 << 10

  private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 64)
  private let head = Atomic(0)
  private let tail = Atomic(0)

  deinit { memory.deallocate() }

  /// Puts a line in. On the thread that does so.
  ///
  /// - Returns: how many bytes there are now, or nil if there was no room for the line.
  func append(_ line: UnsafeRawBufferPointer) -> Int? {
    let start = head.load(ordering: .relaxed)
    let used = start - tail.load(ordering: .acquiring)
    guard line.count <= Self.capacity - used else { return nil }
    let place = start & (Self.capacity - 1)
    let first = min(line.count, Self.capacity - place)
    copy(line[..<first], to: place)
    copy(line[first...], to: 0)
    head.store(start + line.count, ordering: .releasing)
    return used + line.count
  }

  private func copy(_ bytes: Slice<UnsafeRawBufferPointer>, to place: Int) {
    let part = UnsafeMutableRawBufferPointer(rebasing: memory[place..<place + bytes.count])
    part.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
  }

  /// Hands out whatever is there, in one or two pieces, and has room for as much afterwards. On the
  /// thread that takes.
  func take(_ body: (UnsafeRawBufferPointer) -> Void) {
    let end = head.load(ordering: .acquiring)
    var start = tail.load(ordering: .relaxed)
    while start < end {
      let place = start & (Self.capacity - 1)
      let count = min(end - start, Self.capacity - place)
      body(UnsafeRawBufferPointer(rebasing: memory[place..<place + count]))
      start += count
      tail.store(start, ordering: .releasing)
    }
  }
}

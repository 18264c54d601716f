import CShims
import SystemPackage

/// The memory that the kernel of one ring receives into, in buffers of equal size: it takes the next
/// one when there is something to receive, so that a connection that waits costs none.
///
/// A buffer is the kernel's until a completion names it, and then in the chain of its stream until
/// the handler has read it or the tick ends: what a handler leaves is copied into its stream's own
/// memory. So no connection, however slow, keeps a buffer from the others for longer than a tick.
///
/// Used by its loop's thread only, save `init`.
struct ReceiveBuffers: ~Copyable {
  private let buffers: OpaquePointer?
  private let memory: UnsafeMutableRawPointer
  private let size: Int
  let count: Int
  /// Of each buffer in a chain, its successor and how many bytes it holds.
  private let links: UnsafeMutablePointer<Link>
  private var isLeaked = false
  /// How many are not the kernel's.
  private(set) var taken = 0
  /// The fewest that the kernel has had.
  private(set) var lowWater: Int

  private struct Link {
    var next: UInt16
    var count: UInt32
  }

  /// Buffers of one stream, in the order in which the kernel filled them.
  struct Chain {
    fileprivate var first: UInt16 = 0
    fileprivate var last: UInt16 = 0
    fileprivate(set) var count = 0

    var isEmpty: Bool { count == 0 }
  }

  /// - Parameters:
  ///   - ring: that has none yet, and is not enabled or used by the calling thread.
  ///   - count: a power of 2.
  ///   - size: of each, in bytes.
  init(for ring: borrowing Ring, count: Int, size: Int) throws(Errno) {
    let buffers = try ring.provideBuffers(count: UInt32(count), size: UInt32(size))
    self.buffers = buffers
    memory = fdp_ring_buffers_memory(buffers)
    self.count = count
    self.size = size
    lowWater = count
    links = .allocate(capacity: count)
    links.initialize(repeating: Link(next: 0, count: 0), count: count)
  }

  /// None at all.
  init() {
    buffers = nil
    links = .allocate(capacity: 0)
    memory = UnsafeMutableRawPointer(links)
    (count, size, lowWater) = (0, 0, 0)
  }

  /// They are never released.
  mutating func leak() { isLeaked = true }

  /// Nothing receives into them any more.
  deinit {
    if let buffers, !isLeaked { fdp_ring_buffers_destroy(buffers) }
    links.deallocate()
  }

  /// A completion names a buffer, which then goes to a chain or back.
  @inline(__always)
  mutating func take() {
    taken += 1
    lowWater = min(lowWater, count - taken)
  }

  /// The kernel has found none.
  mutating func noteShortage() { lowWater = 0 }

  /// The kernel has put so many bytes into a buffer.
  @inline(__always)
  mutating func add(_ number: UInt16, holding count: Int, to chain: inout Chain) {
    links[Int(number)] = Link(next: 0, count: UInt32(count))
    if chain.isEmpty {
      chain.first = number
    } else {
      links[Int(chain.last)].next = number
    }
    chain.last = number
    chain.count += 1
  }

  /// What the first buffer of a chain holds; there is one. Valid until `removeFirst`.
  @inline(__always)
  func first(of chain: Chain) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      start: memory + Int(chain.first) * size, count: Int(links[Int(chain.first)].count))
  }

  /// The kernel may have it again.
  @inline(__always)
  mutating func removeFirst(of chain: inout Chain) {
    let number = chain.first
    chain.first = links[Int(number)].next
    chain.count -= 1
    giveBack(number)
  }

  /// The kernel may have it again.
  @inline(__always)
  mutating func giveBack(_ number: UInt16) {
    taken -= 1
    fdp_ring_buffers_return(buffers, number)
  }
}

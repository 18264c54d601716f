import CShims
import FDNet
import FDOwnership
import FDPoller
import Synchronization

/// What is known of the pool's connections, by the number of the client's end.
final class Logbook: @unchecked Sendable {
  private static let capacity = 1 << 16

  /// The last stay in the pool.
  private struct Stay {
    var handle: UInt64
    var loop: Int
  }

  // Plain: only the owner of a connection looks at its entry, and the poller orders the owners.
  private let stays: UnsafeMutablePointer<Stay>
  /// The generation, and when its server had closed it, in units of 16 ns.
  private let closes: UnsafeMutablePointer<Atomic<UInt64>>
  private let beginning = fdp_monotonic_nanoseconds()

  private static let timeBits: UInt64 = 40

  init() {
    stays = .allocate(capacity: Self.capacity)
    stays.initialize(repeating: Stay(handle: .max, loop: 0), count: Self.capacity)
    closes = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity { (closes + index).initialize(to: Atomic(0)) }
  }

  deinit {
    stays.deallocate()
    closes.deallocate()
  }

  /// The time, as far as closes are concerned. Callable from any thread.
  var now: UInt64 { (fdp_monotonic_nanoseconds() - beginning) / 16 + 1 }

  private func has(_ handle: FDHandle) -> Bool { 0..<Int32(Self.capacity) ~= handle.fd }

  /// The connection is about to be checked in. On its loop.
  func noteStay(_ handle: FDHandle, on loop: EventLoop) {
    guard has(handle) else { return }
    stays[Int(handle.fd)] = Stay(handle: handle.rawValue, loop: loop.index)
  }

  /// The index of the loop that has checked the connection in last; nil if it is a new one. On the
  /// loop that has checked it out.
  func lastStay(_ handle: FDHandle) -> Int? {
    guard has(handle), stays[Int(handle.fd)].handle == handle.rawValue else { return nil }
    return stays[Int(handle.fd)].loop
  }

  /// Its server has closed it, which the kernel has brought to the client's end by now. Callable
  /// from any thread.
  func noteClose(_ handle: FDHandle) {
    guard has(handle) else { return }
    closes[Int(handle.fd)].store(
      handle.generation.rawValue << Self.timeBits | now & (1 << Self.timeBits - 1),
      ordering: .relaxed)
  }

  /// Whether its server had closed it before that time. Callable from any thread.
  func wasClosed(_ handle: FDHandle, before time: UInt64) -> Bool {
    guard has(handle) else { return false }
    let note = closes[Int(handle.fd)].load(ordering: .relaxed)
    let at = note & (1 << Self.timeBits - 1)
    return at != 0 && note >> Self.timeBits == handle.generation.rawValue && at < time
  }
}

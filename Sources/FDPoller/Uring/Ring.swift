import CShims
import Glibc
import SystemPackage

/// An io_uring: requests go in, completions come out.
///
/// Made on any thread and then used by one, which enables it first. What is collected goes to the
/// kernel with the next `submit` or `wait`.
struct Ring: ~Copyable {
  private var ring: OpaquePointer?

  /// - Parameters:
  ///   - mode: how the kernel does its part.
  ///   - submissions, completions: how many there is room for; the kernel rounds up.
  init(_ mode: RingMode, submissions: UInt32, completions: UInt32) throws(Errno) {
    let result = fdp_ring_create(submissions, completions, mode.flags, &ring)
    guard result == 0 else { throw Errno(rawValue: -result) }
  }

  deinit {
    if let ring { fdp_ring_destroy(ring) }
  }

  /// Whether `close` has not been called.
  var isOpen: Bool { ring != nil }

  /// Called by the thread that used the ring.
  mutating func close() {
    if let ring { fdp_ring_destroy(ring) }
    ring = nil
  }

  /// The IORING_FEAT_ bits of the kernel.
  var features: UInt32 { fdp_ring_features(ring) }

  /// The calling thread is the one that uses the ring from here on.
  func enable() throws(Errno) {
    let result = fdp_ring_enable(ring)
    guard result == 0 else { throw Errno(rawValue: -result) }
  }

  // Requests. False: no room, submit first.

  @inline(__always)
  func poll(_ fd: Int32, _ events: UInt32, multishot: Bool, _ id: RequestID) -> Bool {
    fdp_ring_poll(ring, fd, events, multishot, id.userData(.itself))
  }

  @inline(__always)
  func pollAgain(_ id: RequestID, _ events: UInt32) -> Bool {
    fdp_ring_poll_again(ring, id.userData(.itself), events, id.userData(.secondLook))
  }

  @inline(__always)
  func removePoll(_ id: RequestID) -> Bool {
    fdp_ring_poll_remove(ring, id.userData(.itself), id.userData(.cancellation))
  }

  @inline(__always)
  func receive(_ fd: Int32, _ id: RequestID) -> Bool {
    fdp_ring_receive(ring, fd, id.userData(.itself))
  }

  /// - Parameter bytes: have to stay until the completion.
  @inline(__always)
  func send(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, _ id: RequestID) -> Bool {
    fdp_ring_send(ring, fd, bytes.baseAddress, bytes.count, id.userData(.itself))
  }

  func accept(_ fd: Int32, _ id: RequestID) -> Bool {
    fdp_ring_accept(ring, fd, id.userData(.itself))
  }

  /// - Parameter address: has to stay until the completion.
  func connect(_ fd: Int32, _ address: UnsafeRawBufferPointer, _ id: RequestID) -> Bool {
    fdp_ring_connect(
      ring, fd, address.baseAddress, UInt32(address.count), id.userData(.itself))
  }

  /// Ends a request that is no poll.
  func cancel(_ id: RequestID) -> Bool {
    fdp_ring_cancel(ring, id.userData(.itself), id.userData(.cancellation))
  }

  /// The number is about to be free: what was collected for it must not reach its next owner.
  func withdraw(_ fd: Int32) { fdp_ring_withdraw(ring, fd) }

  /// See `ReceiveBuffers`. Before `enable`.
  func provideBuffers(count: UInt32, size: UInt32) throws(Errno) -> OpaquePointer {
    var buffers: OpaquePointer?
    let result = fdp_ring_buffers_create(ring, count, size, &buffers)
    guard result == 0, let buffers else { throw Errno(rawValue: -result) }
    return buffers
  }

  /// - Returns: how many were told, or -errno.
  func submit() -> Int32 { fdp_ring_submit(ring) }

  /// - Parameter nanoseconds: negative waits for ever, 0 not at all.
  /// - Returns: negative for -errno; -ETIME and -EINTR are no failures.
  @inline(__always)
  func wait(nanoseconds: Int64) -> Int32 { fdp_ring_wait(ring, nanoseconds) }

  /// Takes out the next completions.
  ///
  /// - Returns: how many.
  @inline(__always)
  func takeCompletions(_ buffer: UnsafeMutableBufferPointer<fdp_completion>) -> Int {
    Int(fdp_ring_completions(ring, buffer.baseAddress, Int32(buffer.count)))
  }

  var hasOverflow: Bool { fdp_ring_has_overflow(ring) }
}

extension fdp_completion {
  /// The request goes on and has more to tell.
  @inline(__always)
  var hasMore: Bool { flags & IORING_CQE_F_MORE != 0 }

  /// The provided buffer that the kernel has taken for it.
  @inline(__always)
  var buffer: UInt16? {
    flags & IORING_CQE_F_BUFFER != 0
      ? UInt16(truncatingIfNeeded: flags >> IORING_CQE_BUFFER_SHIFT) : nil
  }
}

import CShims
import FDOwnership
import Glibc
package import SystemPackage

/// What a byte operation came to.
package enum IOResult: Equatable {
  /// That many bytes were moved; for a receive 0 is the end of the stream.
  case done(Int)
  case wouldBlock
  case failed(Errno)

  @inline(__always)
  package init(_ result: Int) {
    if result >= 0 {
      self = .done(result)
    } else if result == -Int(EAGAIN) {
      self = .wouldBlock
    } else {
      self = .failed(Errno(rawValue: CInt(-result)))
    }
  }
}

/// What a loop asks of the kernel: the poller itself knows no system call that waits or moves
/// bytes.
///
/// A backend belongs to one loop and is used on its thread only. It alone knows what it has
/// registered with the kernel; nobody else keeps a record of that. It never reads the ownership
/// word: the loop does, and tells it.
protocol Backend: AnyObject {
  // Readiness

  /// Sets what is wanted of a descriptor that this loop owns. The kernel learns of it before the
  /// next wait; of several changes in one tick, the last.
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions)

  /// Registers the descriptor once more before the next wait, behind the other loops that share it.
  func renew(_ handle: FDHandle)

  /// What is wanted of the descriptor; empty if this loop has no registration for that incarnation.
  func interest(in handle: FDHandle) -> Interest

  /// Removes the registration of that incarnation, if there is one, from the kernel and from the
  /// record, at once: the descriptor stays open.
  func remove(_ handle: FDHandle)

  /// Drops the record of that incarnation: its descriptor is about to be closed, which removes the
  /// registration.
  func forget(_ handle: FDHandle)

  /// An event came for an incarnation that this loop does not own: removes what caused it.
  ///
  /// - Returns: whether the loop's kernel poller had to be made anew for that.
  func removeCause(of handle: FDHandle) -> Bool

  /// Waits for events.
  ///
  /// - Parameter timeoutNanoseconds: nil waits for ever, 0 not at all.
  /// - Returns: the number of events, to be read with `event(at:)` before the next wait.
  func wait(timeoutNanoseconds: UInt64?) -> Int
  func event(at index: Int) -> (handle: FDHandle, readiness: Readiness)

  /// The descriptors that the kernel has refused to watch since the last call: nothing will be
  /// heard of them.
  func takeRefusals() -> [(handle: FDHandle, errno: Errno)]

  // Bytes

  func accept(
    _ listener: FDHandle, _ address: UnsafeMutableRawPointer?,
    _ length: UnsafeMutablePointer<UInt32>?
  ) -> IOResult
  func connect(_ handle: FDHandle, _ address: UnsafeRawPointer, _ length: UInt32) -> IOResult
  func receive(
    _ handle: FDHandle, into buffer: UnsafeMutableRawBufferPointer, peeking: Bool
  ) -> IOResult
  func send(_ handle: FDHandle, _ bytes: UnsafeRawBufferPointer) -> IOResult
  func shutDownOutput(_ handle: FDHandle) -> IOResult

  /// Closes the number: what it leads to ends at once, unless others have it open too.
  ///
  /// - Parameter mayBeHeldElsewhere: another loop has watched this incarnation, and may not have
  ///   read yet that it is no longer its own.
  func close(_ fd: Int32, mayBeHeldElsewhere: Bool)

  /// Releases what the backend holds in the kernel. The loop has ended.
  func shutDown()
}

// MARK: - Bytes by system calls

extension Backend {
  func accept(
    _ listener: FDHandle, _ address: UnsafeMutableRawPointer?,
    _ length: UnsafeMutablePointer<UInt32>?
  ) -> IOResult {
    IOResult(Int(fdp_accept(listener.fd, address, length)))
  }

  func connect(_ handle: FDHandle, _ address: UnsafeRawPointer, _ length: UInt32) -> IOResult {
    let result = fdp_connect(handle.fd, address, length)
    return result == -EINPROGRESS ? .wouldBlock : IOResult(Int(result))
  }

  func shutDownOutput(_ handle: FDHandle) -> IOResult {
    IOResult(Int(fdp_shutdown(handle.fd, Int32(SHUT_WR))))
  }

  @inline(__always)
  func systemReceive(
    _ handle: FDHandle, into buffer: UnsafeMutableRawBufferPointer, peeking: Bool
  ) -> IOResult {
    let flags = peeking ? Int32(MSG_PEEK) : 0
    return IOResult(fdp_receive(handle.fd, buffer.baseAddress, buffer.count, flags))
  }

  @inline(__always)
  func systemSend(_ handle: FDHandle, _ bytes: UnsafeRawBufferPointer) -> IOResult {
    IOResult(fdp_send(handle.fd, bytes.baseAddress, bytes.count, 0))
  }
}

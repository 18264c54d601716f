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

/// The operations that move bytes, as system calls that do not block.
enum ByteOperations {
  static func accept(
    _ listener: FDHandle, _ address: UnsafeMutableRawPointer?,
    _ length: UnsafeMutablePointer<UInt32>?
  ) -> IOResult {
    IOResult(Int(fdp_accept(listener.fd, address, length)))
  }

  static func connect(
    _ handle: FDHandle, _ address: UnsafeRawPointer, _ length: UInt32
  ) -> IOResult {
    let result = fdp_connect(handle.fd, address, length)
    switch result {
    case -EINPROGRESS: return .wouldBlock
    // A Unix socket whose backlog is full: it does not go on in the background (connect(2)).
    case -EAGAIN: return .failed(.resourceTemporarilyUnavailable)
    default: return IOResult(Int(result))
    }
  }

  @inline(__always)
  static func receive(
    _ handle: FDHandle, into buffer: UnsafeMutableRawBufferPointer, peeking: Bool
  ) -> IOResult {
    let flags = peeking ? Int32(MSG_PEEK) : 0
    return IOResult(fdp_receive(handle.fd, buffer.baseAddress, buffer.count, flags))
  }

  @inline(__always)
  static func send(_ handle: FDHandle, _ bytes: UnsafeRawBufferPointer) -> IOResult {
    IOResult(fdp_send(handle.fd, bytes.baseAddress, bytes.count, 0))
  }

  static func shutDownOutput(_ handle: FDHandle) -> IOResult {
    IOResult(Int(fdp_shutdown(handle.fd, Int32(SHUT_WR))))
  }
}

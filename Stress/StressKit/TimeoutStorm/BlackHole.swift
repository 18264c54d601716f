import CShims
import FDNet
import Glibc
import SystemPackage

/// An address at which a client waits for ever: its listener accepts nobody, and its queue is full.
final class BlackHole: @unchecked Sendable {
  // Set before anybody else looks, except at the end.
  private(set) var address = SocketAddress.loopback(port: 0)
  private var descriptors: [Int32] = []

  init() {}

  /// - Throws: what the kernel refuses.
  func open() throws(Errno) {
    let listener = try socket()
    _ = try checked(address.withSockAddr { fdp_bind(listener, $0, $1) })
    _ = try checked(fdp_listen(listener, 0))
    address = SocketAddress.reading { fdp_local_address(listener, $0, $1) } ?? address
    for _ in 0..<4 {
      let client = try socket()
      _ = address.withSockAddr { fdp_connect(client, $0, $1) }
    }
  }

  private func socket() throws(Errno) -> Int32 {
    let fd = try checked(fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue)))
    descriptors.append(fd)
    return fd
  }

  private func checked(_ result: Int32) throws(Errno) -> Int32 {
    guard result >= 0 else { throw Errno(rawValue: -result) }
    return result
  }

  func close() {
    for fd in descriptors { _ = fdp_close(fd) }
    descriptors = []
  }

  deinit { close() }
}

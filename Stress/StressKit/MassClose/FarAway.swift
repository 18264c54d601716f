import CShims
import FDNet
import Glibc

/// The far ends of many connections, which take no descriptors here: they are under way in a Unix
/// socket that nobody reads (unix(7), SCM_RIGHTS), and vanish with it, all at once.
final class FarAway {
  private var carrier: [Int32] = [-1, -1]
  private var collected: [Int32] = []
  /// The kernel takes at most 253 in one message (unix(7)).
  private static let atOnce = 128

  init() {
    _ = fdp_socketpair(Int32(AF_UNIX), Int32(SOCK_STREAM.rawValue), &carrier)
  }

  deinit { vanish() }

  /// Makes a connection, says who it is, and puts it away.
  ///
  /// - Returns: false if the kernel refuses.
  func connect(to address: SocketAddress, identity: UInt64) -> Bool {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard fd >= 0 else { return false }
    var identity = identity
    guard address.withSockAddr({ fdp_connect(fd, $0, $1) }) == 0,
      fdp_send(fd, &identity, 8, 0) == 8
    else {
      _ = fdp_close(fd)
      return false
    }
    collected.append(fd)
    return collected.count < Self.atOnce || send()
  }

  /// Puts away what was collected.
  func send() -> Bool {
    guard !collected.isEmpty else { return true }
    let sent = collected.withUnsafeBytes { sendRights($0) }
    for fd in collected { _ = fdp_close(fd) }
    collected = []
    return sent
  }

  /// One message of one byte, with the descriptors beside it (cmsg(3)).
  private func sendRights(_ descriptors: UnsafeRawBufferPointer) -> Bool {
    let header = MemoryLayout<cmsghdr>.size
    var control = [UInt64](repeating: 0, count: (header + descriptors.count + 7) / 8)
    var byte: UInt8 = 0
    return control.withUnsafeMutableBytes { control in
      var rights = cmsghdr()
      rights.cmsg_len = header + descriptors.count
      rights.cmsg_level = SOL_SOCKET
      rights.cmsg_type = Int32(SCM_RIGHTS)
      withUnsafeBytes(of: rights) { control.copyMemory(from: $0) }
      UnsafeMutableRawBufferPointer(rebasing: control[header...]).copyMemory(from: descriptors)
      return withUnsafeMutableBytes(of: &byte) { payload in
        var vector = iovec(iov_base: payload.baseAddress, iov_len: 1)
        return withUnsafeMutablePointer(to: &vector) { vector in
          var message = msghdr()
          message.msg_iov = vector
          message.msg_iovlen = 1
          message.msg_control = control.baseAddress
          message.msg_controllen = control.count
          return sendmsg(carrier[0], &message, Int32(MSG_NOSIGNAL)) == 1
        }
      }
    }
  }

  /// Every far end is closed.
  func vanish() {
    for fd in collected + carrier where fd >= 0 { _ = fdp_close(fd) }
    collected = []
    carrier = [-1, -1]
  }
}

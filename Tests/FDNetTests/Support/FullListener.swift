import CShims
import Glibc
import Testing

@testable import FDNet

/// A listener whose queue is full: the next client gets no answer.
final class FullListener: @unchecked Sendable {
  let listener: RawListener
  private var clients: [Int32] = []

  init(_ address: SocketAddress) throws {
    listener = try RawListener(address, backlog: 0)
    while clients.count < 50 {
      let fd = socket(
        address.domain, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      clients.append(fd)
      let result = listener.address.withSockAddr {
        Glibc.connect(fd, $0.assumingMemoryBound(to: sockaddr.self), $1)
      }
      if result == 0 { continue }
      if errno != EINPROGRESS { break }
      var wait = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
      if poll(&wait, 1, 100) == 0 { break }
    }
    try #require(clients.count < 50)
  }

  deinit { for fd in clients { close(fd) } }
}

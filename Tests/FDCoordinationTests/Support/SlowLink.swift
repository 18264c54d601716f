import CShims
import FDNet
import Glibc
import TestKit
import Testing

/// A line between two addresses that carries so many bytes each second and holds next to none: two
/// threads that copy, one in each direction.
final class SlowLink: Sendable {
  let address: SocketAddress
  private let threads = Tally(1)

  init(to destination: SocketAddress, bytesPerSecond: Int) throws {
    let listener = fdp_socket(AF_INET, Int32(SOCK_STREAM.rawValue))
    var size: Int32 = 8 << 10
    let length = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, length)
    // Those of the loopback interface would never fit, and the kernel wait for timers.
    var segment: Int32 = 1_400
    setsockopt(listener, Int32(IPPROTO_TCP), TCP_MAXSEG, &segment, length)
    let any = SocketAddress.loopback(port: 0)
    try #require(any.withSockAddr { fdp_bind(listener, $0, $1) } == 0)
    try #require(fdp_listen(listener, 1) == 0)
    address = try #require(SocketAddress.reading { fdp_local_address(listener, $0, $1) })
    let threads = threads
    Self.start { [threads] in
      defer { threads.add(-1) }
      var wait = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
      guard poll(&wait, 1, 30_000) == 1 else { return }
      let near = accept(listener, nil, nil)
      _ = fdp_close(listener)
      let far = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      for fd in [near, far] {
        var size: Int32 = 8 << 10
        var segment: Int32 = 1_400
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, length)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, length)
        setsockopt(fd, Int32(IPPROTO_TCP), TCP_MAXSEG, &segment, length)
      }
      _ = destination.withSockAddr { fdp_connect(far, $0, $1) }
      threads.add(1)
      Self.start {
        Self.copy(from: near, to: far, bytesPerSecond)
        threads.add(-1)
      }
      Self.copy(from: far, to: near, bytesPerSecond)
      while threads.value > 1 { usleep(1_000) }
      Glibc.close(near)
      Glibc.close(far)
    }
  }

  private static func copy(from source: Int32, to target: Int32, _ bytesPerSecond: Int) {
    var buffer = [UInt8](repeating: 0, count: 8 << 10)
    while true {
      let count = recv(source, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      var sent = 0
      while sent < count {
        let more = buffer[sent..<count].withUnsafeBytes {
          send(target, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard more > 0 else { break }
        sent += more
      }
      guard sent == count else { break }
      usleep(UInt32(count * 1_000_000 / bytesPerSecond))
    }
    shutdown(target, Int32(SHUT_WR))
    shutdown(source, Int32(SHUT_RD))
  }

  private static func start(_ body: @escaping @Sendable () -> Void) {
    final class Body {
      let call: () -> Void
      init(_ call: @escaping () -> Void) { self.call = call }
    }
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      {
        Unmanaged<Body>.fromOpaque($0!).takeRetainedValue().call()
        return nil
      }, Unmanaged.passRetained(Body(body)).toOpaque())
    precondition(result == 0, "a test cannot have the threads that it needs")
    pthread_detach(thread)
  }

  /// Waits until both directions have ended, and its descriptors are closed.
  func end() async throws {
    try #require(await eventually { threads.value == 0 })
  }
}

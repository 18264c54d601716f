import CShims
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import FDNet

/// The family of a test's sockets.
enum Family: CaseIterable, Sendable {
  case ipv4
  case ipv6
  case unix

  private static let number = Atomic(0)

  /// Where a listener of the family can listen: the kernel chooses the port; a Unix name is new
  /// each time, and no file.
  var address: SocketAddress {
    switch self {
    case .ipv4: .loopback(port: 0)
    case .ipv6: .ipv6Loopback(port: 0)
    case .unix:
      try! .unix(path: "@fdnet-\(getpid())-\(Self.number.add(1, ordering: .relaxed).newValue)")
    }
  }

  /// Those that this machine has.
  static let all: [Family] = allCases.filter { family in
    guard family == .ipv6 else { return true }
    guard let probe = try? RawListener(.ipv6Loopback(port: 0)) else { return false }
    probe.close()
    return true
  }

  static let tcp = all.filter { $0 != .unix }
}

/// The other side of a test's connection: a plain blocking socket. No call of it waits longer than
/// 30 seconds; that is a failure, an EAGAIN.
final class Peer: @unchecked Sendable {
  let fd: Int32
  private var isOpen = true
  var isClosed: Bool { !isOpen }

  /// Takes over a connected socket.
  init(_ fd: Int32) {
    self.fd = fd
    var limit = timeval(tv_sec: 30, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
  }

  /// Connects, and waits for it.
  convenience init(to address: SocketAddress, receiveBuffer: Int32? = nil) throws {
    let fd = socket(address.domain, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    try #require(fd >= 0, "errno \(errno)")
    if var size = receiveBuffer {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
    self.init(fd)
    let result = address.withSockAddr {
      Glibc.connect(fd, $0.assumingMemoryBound(to: sockaddr.self), $1)
    }
    guard result == 0 else {
      let error = Errno(rawValue: errno)
      close()
      throw error
    }
  }

  deinit { close() }

  func close() {
    if isOpen { Glibc.close(fd) }
    isOpen = false
  }

  /// Closes with a reset.
  func reset() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  /// Sends the end of the stream.
  func finish() { Glibc.shutdown(fd, Int32(SHUT_WR)) }

  /// Sends all of it.
  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Errno(rawValue: errno) }
      sent += count
    }
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Sends until nothing has been taken for a while.
  ///
  /// - Parameter patience: that while, in milliseconds.
  /// - Returns: how many bytes were taken.
  func flood(_ bytes: [UInt8], patience: Int32 = 200) throws -> Int {
    var sent = 0
    var wait = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
    while sent < bytes.count && poll(&wait, 1, patience) == 1 {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if count < 0 && errno == EAGAIN { continue }
      guard count > 0 else { throw Errno(rawValue: errno) }
      sent += count
    }
    return sent
  }

  /// Receives once; nothing is the end of the stream.
  func receive(atMost limit: Int = 64 << 10) throws -> [UInt8] {
    var failure = Errno(rawValue: 0)
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      let got = recv(fd, buffer.baseAddress, limit, 0)
      if got < 0 { failure = Errno(rawValue: errno) }
      count = max(0, got)
    }
    guard failure.rawValue == 0 else { throw failure }
    return bytes
  }

  /// Receives so many bytes, or fewer if the stream ends.
  func receive(exactly count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      let more = try receive(atMost: min(64 << 10, count - bytes.count))
      if more.isEmpty { break }
      bytes += more
    }
    return bytes
  }

  func receiveText(_ count: Int) throws -> String {
    String(decoding: try receive(exactly: count), as: UTF8.self)
  }

  /// Receives to the end of the stream.
  func receiveToEnd() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let more = try receive()
      if more.isEmpty { return bytes }
      bytes += more
    }
  }

  /// Receives to the end of the stream or a reset; nothing if this end has been closed.
  func receiveUntilOver() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      do {
        let more = try receive()
        if more.isEmpty { return bytes }
        bytes += more
      } catch Errno.connectionReset, Errno.badFileDescriptor {
        return bytes
      }
    }
  }

  /// What a receive would say at this moment.
  enum Outlook {
    case nothing
    case bytes
    case end
    case reset
  }

  /// Looks without taking anything; a reset is told once.
  var outlook: Outlook {
    var byte: UInt8 = 0
    switch recv(fd, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK)) {
    case 0: return .end
    case 1: return .bytes
    default: return errno == EAGAIN ? .nothing : .reset
    }
  }
}

/// A plain listening socket.
final class RawListener: @unchecked Sendable {
  let fd: Int32
  let address: SocketAddress
  private var isOpen = true

  init(_ address: SocketAddress, backlog: Int32 = 128) throws {
    fd = socket(address.domain, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    try #require(fd >= 0, "errno \(errno)")
    let fd = fd
    let bound = address.withSockAddr { bind(fd, $0.assumingMemoryBound(to: sockaddr.self), $1) }
    guard bound == 0, listen(fd, backlog) == 0,
      let local = SocketAddress.reading({ bytes, length in
        getsockname(fd, bytes.assumingMemoryBound(to: sockaddr.self), length)
      })
    else {
      let error = Errno(rawValue: errno)
      Glibc.close(fd)
      throw error
    }
    self.address = local
  }

  deinit { close() }

  func close() {
    if isOpen { Glibc.close(fd) }
    isOpen = false
  }

  /// Waits for a client, at most 30 seconds.
  func accept() throws -> Int32 {
    var wait = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    try #require(poll(&wait, 1, 30_000) == 1, "no client came")
    let client = Glibc.accept(fd, nil, nil)
    try #require(client >= 0, "errno \(errno)")
    return client
  }
}

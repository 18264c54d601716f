import CShims
import Glibc
import TestKit

/// A blocking TCP socket on the loopback interface, without anything of this package in it. No call
/// takes longer than the deadline.
final class RawSocket: @unchecked Sendable {
  private(set) var fd: Int32
  /// What has been received and not been asked for.
  private var ahead: [UInt8] = []
  /// Everything that has been received.
  var received: [UInt8] { input.value.received }
  /// How the input has ended; nil as long as it goes on.
  var ending: Ending? { input.value.ending }
  /// Looked at by other threads than the one that receives.
  private let input = Guarded<(received: [UInt8], ending: Ending?)>(([], nil))

  enum Ending { case end, reset, timeout }

  init(_ fd: Int32) {
    self.fd = fd
    setDeadline(seconds: 60)
    var on: Int32 = 1
    setsockopt(fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Connected to a port of this machine.
  ///
  /// - Parameter receiveBuffer: bytes; nil is the system's choice.
  convenience init(to port: UInt16, receiveBuffer: Int32? = nil) {
    self.init(Self.open())
    if var receiveBuffer {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, 4)
    }
    let result = Self.withLoopback(port) { connect(fd, $0, $1) }
    if result != 0 { input.withLock { $0.ending = .reset } }
  }

  deinit { close() }

  static func open() -> Int32 {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    precondition(fd >= 0, "a test cannot have a socket: errno \(errno)")
    return fd
  }

  static func withLoopback<Result>(
    _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafeBytes(of: address) {
      body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
  }

  static func port(of fd: Int32) -> UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutableBytes(of: &address) {
      _ = getsockname(fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    return UInt16(bigEndian: address.sin_port)
  }

  /// Of each receive and send.
  func setDeadline(seconds: Double) {
    let whole = Int(seconds)
    var time = timeval(tv_sec: whole, tv_usec: Int((seconds - Double(whole)) * 1_000_000))
    let length = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, length)
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, length)
  }
}

// MARK: - Sending

extension RawSocket {
  /// - Returns: whether all of it was taken.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(fd, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// Each piece by itself, with a moment between two.
  func send(pieces: [String]) {
    for piece in pieces {
      send(piece)
      usleep(2000)
    }
  }

  /// The end of what this side sends.
  func finish() { shutdown(fd, Int32(SHUT_WR)) }

  /// Ends both directions; the number stays open.
  func shutDown() { shutdown(fd, Int32(SHUT_RDWR)) }

  func close() {
    if fd >= 0 { Glibc.close(fd) }
    fd = -1
  }

  /// Closes with a reset.
  func reset() {
    var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    close()
  }
}

// MARK: - Receiving

extension RawSocket {
  /// Receives once.
  ///
  /// - Returns: false at the end, see `ending`.
  private func receive() -> Bool {
    guard ending == nil, fd >= 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(fd, &buffer, buffer.count, 0)
    guard count > 0 else {
      let ending = count == 0 ? Ending.end : errno == EAGAIN || errno == EINTR ? .timeout : .reset
      input.withLock { $0.ending = ending }
      return false
    }
    ahead += buffer[..<count]
    input.withLock { $0.received += buffer[..<count] }
    return true
  }

  /// So many bytes, or what came before the end.
  func take(_ count: Int) -> [UInt8] {
    while ahead.count < count, receive() {}
    let taken = Array(ahead.prefix(count))
    ahead.removeFirst(taken.count)
    return taken
  }

  /// What has arrived, at least one byte unless it is the end.
  func takeSome() -> [UInt8] {
    if ahead.isEmpty { _ = receive() }
    defer { ahead = [] }
    return ahead
  }

  /// Up to and with the mark; nil if that does not come.
  func take(through mark: String) -> [UInt8]? {
    let mark = Array(mark.utf8)
    var searched = 0
    while true {
      var start = max(0, searched - mark.count)
      while start + mark.count <= ahead.count {
        if ahead[start..<start + mark.count].elementsEqual(mark) {
          return take(start + mark.count)
        }
        start += 1
      }
      searched = ahead.count
      guard receive() else { return nil }
    }
  }

  /// Everything up to the end.
  func takeAll() -> [UInt8] {
    while receive() {}
    defer { ahead = [] }
    return ahead
  }

  /// What was taken is to be taken once more.
  func putBack(_ text: String) { ahead = Array(text.utf8) + ahead }

  /// Whether nothing arrives for a while.
  func staysSilent(milliseconds: Int32 = 30) -> Bool {
    guard ahead.isEmpty else { return false }
    var wait = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    return poll(&wait, 1, milliseconds) == 0
  }
}

extension RawSocket {
  /// Begins to connect and does not wait.
  static func connecting(to port: UInt16) -> RawSocket {
    let socket = RawSocket(open())
    _ = fcntl(socket.fd, F_SETFL, O_NONBLOCK)
    _ = withLoopback(port) { connect(socket.fd, $0, $1) }
    return socket
  }

  /// A port at which nobody listens.
  static func freePort() -> UInt16 {
    let fd = open()
    defer { Glibc.close(fd) }
    let result = withLoopback(0) { bind(fd, $0, $1) }
    precondition(result == 0, "a test cannot bind: errno \(errno)")
    return port(of: fd)
  }
}

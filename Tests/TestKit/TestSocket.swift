import CShims
import Glibc

/// A blocking stream socket without anything of this package in it. No call takes longer than the
/// deadline.
public final class TestSocket: @unchecked Sendable {
  private var fd: Int32

  /// What a receive came to.
  public enum Received: Equatable {
    /// At least one.
    case bytes([UInt8])
    /// The peer has ended its output.
    case end
    /// The peer has reset the connection.
    case reset
    /// With another errno.
    case failed(Int32)
    /// The deadline has passed.
    case nothingYet
  }

  /// Why there is no socket.
  public struct Failure: Error, CustomStringConvertible {
    /// In words.
    public let description: String
  }

  private init(_ fd: Int32) {
    self.fd = fd
    setDeadline(seconds: 30)
  }

  deinit { close() }

  /// Of receives, sends and connects; 0 is for ever.
  public func setDeadline(seconds: Double) {
    let whole = Int(seconds)
    var time = timeval(tv_sec: whole, tv_usec: Int((seconds - Double(whole)) * 1_000_000))
    let length = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, length)
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, length)
  }
}

// MARK: - Making one

extension TestSocket {
  private static func open(_ domain: Int32, nonBlocking: Bool = false) -> Int32 {
    let flags = SOCK_CLOEXEC.rawValue | (nonBlocking ? SOCK_NONBLOCK.rawValue : 0)
    let fd = socket(domain, Int32(SOCK_STREAM.rawValue | flags), 0)
    precondition(fd >= 0, "a test cannot have a socket: errno \(errno)")
    return fd
  }

  private static func withLoopback<Result>(
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

  /// Connected to a port of this machine.
  public static func connected(to port: UInt16) throws -> TestSocket {
    let new = TestSocket(open(AF_INET))
    let result = withLoopback(port) { connect(new.fd, $0, $1) }
    guard result == 0 else {
      throw Failure(description: "cannot connect to port \(port): errno \(errno)")
    }
    var on: Int32 = 1
    setsockopt(new.fd, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    return new
  }

  /// Connected to the socket of a path.
  public static func connected(toPath path: String) throws -> TestSocket {
    let new = TestSocket(open(AF_UNIX))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafeBytes(of: address) {
      connect(
        new.fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    guard result == 0 else {
      throw Failure(description: "cannot connect to \(path): errno \(errno)")
    }
    return new
  }

  /// Bound to a free port of this machine.
  ///
  /// - Parameter backlog: nil does not listen, so that a client is refused.
  public static func bound(backlog: Int32?) -> TestSocket {
    let new = TestSocket(open(AF_INET))
    let result = withLoopback(0) { bind(new.fd, $0, $1) }
    precondition(result == 0, "a test cannot bind: errno \(errno)")
    if let backlog { listen(new.fd, backlog) }
    return new
  }

  /// Bound to a free port of this machine where nobody else gets an answer: its queue is full, and
  /// the kernel drops what comes.
  ///
  /// - Returns: the listener and those who fill its queue, to be kept.
  public static func deaf() throws -> [TestSocket] {
    let listener = bound(backlog: 1)
    var sockets = [listener]
    // There is room for one more than asked for (listen(2), net/core/sock.c: sk_acceptq_is_full).
    for count in 1...2 {
      sockets.append(try connected(to: listener.port))
      for _ in 0..<30_000 where listener.queueLength < count { usleep(1_000) }
    }
    return sockets
  }

  /// How many clients wait to be accepted.
  private var queueLength: Int {
    var info = tcp_info()
    var length = socklen_t(MemoryLayout<tcp_info>.size)
    getsockopt(fd, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)
    return Int(info.tcpi_unacked)
  }

  /// Begins to connect and does not wait.
  public static func connecting(to port: UInt16) -> TestSocket {
    let new = TestSocket(open(AF_INET, nonBlocking: true))
    _ = withLoopback(port) { connect(new.fd, $0, $1) }
    return new
  }

  /// Waits for a client.
  public func accept() throws -> TestSocket {
    let accepted = Glibc.accept(fd, nil, nil)
    guard accepted >= 0 else { throw Failure(description: "cannot accept: errno \(errno)") }
    _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
    return TestSocket(accepted)
  }

  /// Its own port.
  public var port: UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutableBytes(of: &address) {
      _ = getsockname(fd, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
    }
    return UInt16(bigEndian: address.sin_port)
  }
}

// MARK: - Using it

extension TestSocket {
  /// - Returns: whether all of it was taken.
  @discardableResult
  public func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = Glibc.send(
        fd, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      guard count > 0 else { return false }
      sent += count
    }
    return true
  }

  /// As `send` of its bytes.
  @discardableResult
  public func send(_ text: String) -> Bool {
    Array(text.utf8).withUnsafeBytes { send($0) }
  }

  /// - Returns: the count, 0 at the end, or -errno.
  public func receive(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = recv(fd, buffer.baseAddress, buffer.count, 0)
    return count < 0 ? -Int(errno) : count
  }

  /// Waits for bytes, or for something else to happen.
  public func receive(atMost most: Int = 65536) -> Received {
    var buffer = [UInt8](repeating: 0, count: most)
    let count = buffer.withUnsafeMutableBytes { receive(into: $0) }
    switch count {
    case 1...: return .bytes(Array(buffer[..<count]))
    case 0: return .end
    case -Int(ECONNRESET): return .reset
    case -Int(EAGAIN): return .nothingYet
    default: return .failed(Int32(-count))
    }
  }

  /// So many bytes as text, or what came before something else happened.
  public func receiveText(_ count: Int) -> String {
    var text: [UInt8] = []
    while text.count < count, case .bytes(let bytes) = receive(atMost: count - text.count) {
      text += bytes
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Everything up to the end; nil if it ends in another way.
  public func receiveAll() -> [UInt8]? {
    var all: [UInt8] = []
    while true {
      switch receive() {
      case .bytes(let bytes): all += bytes
      case .end: return all
      case .reset, .failed, .nothingYet: return nil
      }
    }
  }

  /// Sends a text and expects it back.
  public func echoes(_ text: String) -> Bool { send(text) && receiveText(text.utf8.count) == text }

  /// The end of what this side sends.
  public func finish() { shutdown(fd, Int32(SHUT_WR)) }

  /// Closes; again does no harm.
  public func close() {
    if fd >= 0 { Glibc.close(fd) }
    fd = -1
  }

  /// Closes with a reset.
  public func reset() {
    var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
    close()
  }
}

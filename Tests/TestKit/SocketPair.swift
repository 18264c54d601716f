import CShims
import Glibc
public import SystemPackage

/// Two connected stream sockets, non-blocking and close-on-exec. `near` is what a test gives away,
/// usually; whoever has an end closes it.
public struct SocketPair: Sendable {
  /// One end.
  public let near: FileDescriptor
  /// The other end.
  public let far: FileDescriptor

  private static let turn = Tally()

  /// - Parameter aside: whether `near` gets a number that the kernel does not hand out by itself, because it is far
  ///   above the lowest free one. A test that closes a number and means to have it again needs that: other
  ///   threads of the process open descriptors too.
  public init(aside: Bool = false) {
    var fds: [Int32] = [-1, -1]
    let result = fdp_socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), &fds)
    precondition(result == 0, "no socket pair: errno \(-result)")
    let lowest = FileDescriptor(rawValue: fds[0])
    near = aside ? lowest.moved(to: 700 + Int32(Self.turn.add() % 300))! : lowest
    far = FileDescriptor(rawValue: fds[1])
  }

  private init(near: FileDescriptor, far: FileDescriptor) {
    self.near = near
    self.far = far
  }

  /// A pair over TCP, on the loopback interface.
  public static func tcp() -> SocketPair {
    let stream = Int32(SOCK_STREAM.rawValue)
    let listener = fdp_socket(AF_INET, stream)
    let far = fdp_socket(AF_INET, stream)
    defer { _ = fdp_close(listener) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    precondition(fdp_bind(listener, &address, size) == 0 && fdp_listen(listener, 1) == 0)
    precondition(fdp_local_address(listener, &address, &size) == 0)
    _ = fdp_connect(far, &address, size)
    var wait = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
    precondition(poll(&wait, 1, 60_000) == 1, "no connection over the loopback interface")
    let near = fdp_accept(listener, nil, nil)
    precondition(near >= 0, "no connection is accepted: errno \(-near)")
    return SocketPair(near: FileDescriptor(rawValue: near), far: FileDescriptor(rawValue: far))
  }
}

/// Descriptors without errors: for tests, where a failure is a trap or a value.
extension FileDescriptor {
  /// An eventfd, non-blocking and close-on-exec; `count` makes it readable.
  public static func event(count: UInt64 = 0) -> FileDescriptor {
    let fd = fdp_eventfd()
    precondition(fd >= 0, "no eventfd: errno \(-fd)")
    let event = FileDescriptor(rawValue: fd)
    for _ in 0..<count { event.signal() }
    return event
  }

  /// Makes an eventfd readable.
  public func signal() { _ = fdp_eventfd_signal(rawValue) }

  /// Both ends of a pipe, non-blocking and close-on-exec.
  public static func nonBlockingPipe() -> (reader: FileDescriptor, writer: FileDescriptor) {
    var fds: [Int32] = [-1, -1]
    precondition(Glibc.pipe(&fds) == 0, "no pipe: errno \(Glibc.errno)")
    for fd in fds {
      _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
      _ = fdp_set_nonblocking(fd)
    }
    return (FileDescriptor(rawValue: fds[0]), FileDescriptor(rawValue: fds[1]))
  }

  /// Writes one byte.
  ///
  /// - Returns: whether it was taken.
  @discardableResult
  public func put(_ byte: UInt8 = 0x21) -> Bool {
    withUnsafeBytes(of: byte) { fdp_write(rawValue, $0.baseAddress, 1) } == 1
  }

  /// Reads all that is there.
  ///
  /// - Returns: how many bytes, or nil at the end of the stream.
  @discardableResult
  public func drain() -> Int? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    var total = 0
    while true {
      let got = buffer.withUnsafeMutableBytes { fdp_read(rawValue, $0.baseAddress, $0.count) }
      if got == 0 { return total > 0 ? total : nil }
      if got < 0 { return got == -Int(EAGAIN) ? total : nil }
      total += got
    }
  }

  /// Whether the number is an open descriptor.
  public var isOpen: Bool { fcntl(rawValue, F_GETFD) >= 0 }

  /// What the open number leads to: `socket:[4711]`; nil if it is not open. Two numbers of one
  /// file, and only they, say the same if it is a socket or a pipe.
  public var target: String? { Ledger.openDescriptors()[rawValue] }

  /// Whether the peer has closed, or was closed for.
  public var isAtEnd: Bool { drain() == nil }

  /// Whether nothing can be read at the moment.
  public var isDrained: Bool {
    var byte: UInt8 = 0
    return recv(rawValue, &byte, 1, Int32(MSG_PEEK)) < 0 && errno == EAGAIN
  }

  /// What a peer learns of the end of its stream, if it has nothing to read before.
  public enum Ending: Sendable {
    case end
    case reset
  }

  /// Blocks the calling thread until the peer has ended, at most 30 seconds.
  ///
  /// - Returns: nil if it has not, or has sent something.
  public func waitForEnding() -> Ending? {
    var wait = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
    guard poll(&wait, 1, 30_000) == 1 else { return nil }
    var byte: UInt8 = 0
    switch fdp_read(rawValue, &byte, 1) {
    case 0: return .end
    case -Int(ECONNRESET): return .reset
    default: return nil
    }
  }

  /// Closes the number, which has to be open.
  public func closeForGood() {
    let result = fdp_close(rawValue)
    precondition(result == 0, "closing fd \(rawValue): errno \(-result)")
  }
}

extension FileDescriptor {
  /// Gives the open file another number, which has to be free, and closes this one: how a test
  /// makes the kernel hand out a number again.
  ///
  /// - Returns: nil if the number is taken; then nothing has changed.
  public func moved(to number: Int32) -> FileDescriptor? {
    guard number != rawValue else { return self }
    guard let copy = copied(to: number) else { return nil }
    closeForGood()
    return copy
  }

  /// As `moved(to:)`, but this number stays open too.
  public func copied(to number: Int32) -> FileDescriptor? {
    let copy = fdp_duplicate(rawValue, number)
    precondition(copy >= 0, "no copy of fd \(rawValue): errno \(-copy)")
    guard copy != number else { return FileDescriptor(rawValue: copy) }
    _ = fdp_close(copy)
    return nil
  }

  /// Another number for the same open file.
  public func copied() -> FileDescriptor {
    FileDescriptor(rawValue: fdp_duplicate(rawValue, 0))
  }
}

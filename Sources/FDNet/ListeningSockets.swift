import CShims
import FDOwnership
import FDPoller
import Glibc
import SystemPackage

/// The descriptors of a listener that is being made, and the loops that are to have them. Whoever
/// has it closes them, with `giveUp()`, until a poller has taken them.
struct ListeningSockets {
  struct Socket {
    let descriptor: Int32
    let loops: [EventLoop]
    /// Other loops have the same socket, by this descriptor or by a copy of it.
    var isShared: Bool
  }

  /// As it was asked for.
  let askedAddress: SocketAddress
  /// With the port that the kernel chose if none was asked for.
  private(set) var address: SocketAddress
  private(set) var sockets: [Socket] = []
  /// The file of a Unix socket is this listener's, and goes with it.
  private let ownsFile: Bool

  /// Takes the first one out, which is the poller's now.
  mutating func removeFirst() { sockets.removeFirst() }

  /// Closes all that are left.
  func giveUp() {
    // Only what one of these was bound to is ours to remove.
    if ownsFile, let first = sockets.first?.descriptor,
      let path = Self.localAddress(of: first)?.unixPath
    {
      unlink(path)
    }
    for socket in sockets { _ = fdp_close(socket.descriptor) }
  }

  private static func localAddress(of fd: Int32) -> SocketAddress? {
    SocketAddress.reading { fdp_local_address(fd, $0, $1) }
  }

  private static func checked(_ result: Int32) throws(Errno) -> Int32 {
    guard result >= 0 else { throw Errno(rawValue: -result) }
    return result
  }

  /// Which loops get a socket together.
  private static func shares(
    _ loops: [EventLoop], _ address: SocketAddress, _ sharing: Listener.Sharing
  ) -> [[EventLoop]] {
    if sharing == .socketPerLoop && address.family != .unix { return loops.map { [$0] } }
    return Dictionary(grouping: loops, by: \.bit.group).values.map { $0 }
  }
}

// MARK: - New ones

extension ListeningSockets {
  /// Makes the listening sockets of one address: copies of one for a Unix address, otherwise
  /// sockets of their own that share the port.
  init(
    at address: SocketAddress, for loops: [EventLoop], sharing: Listener.Sharing, backlog: Int,
    noDelay: Bool
  ) throws(ListenError) {
    (askedAddress, self.address, ownsFile) = (address, address, true)
    let shares = Self.shares(loops, address, sharing)
    let areCopies = address.family == .unix && shares.count > 1
    do throws(Errno) {
      for loops in shares {
        let fd: Int32
        if address.family == .unix, let first = sockets.first?.descriptor {
          fd = try Self.checked(fdp_duplicate(first, 0))
        } else {
          fd = try Self.open(
            self.address, isFirst: sockets.isEmpty, backlog: backlog, noDelay: noDelay)
        }
        if sockets.isEmpty { self.address = Self.localAddress(of: fd) ?? address }
        sockets.append(
          Socket(descriptor: fd, loops: loops, isShared: areCopies || loops.count > 1))
      }
    } catch {
      giveUp()
      throw ListenError(address: address, cause: .refused(error))
    }
  }

  private static func open(
    _ address: SocketAddress, isFirst: Bool, backlog: Int, noDelay: Bool
  ) throws(Errno) -> Int32 {
    let fd = try checked(fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue)))
    do throws(Errno) {
      if address.family != .unix { prepare(fd, address.family, isFirst: isFirst, noDelay) }
      try bind(fd, to: address, isFirst: isFirst)
    } catch {
      _ = fdp_close(fd)
      throw error
    }
    let result = fdp_listen(fd, Int32(clamping: backlog))
    guard result == 0 else {
      if let path = address.unixPath { unlink(path) }
      _ = fdp_close(fd)
      throw Errno(rawValue: -result)
    }
    return fd
  }

  private static func prepare(
    _ fd: Int32, _ family: SocketAddress.Family, isFirst: Bool, _ noDelay: Bool
  ) {
    _ = fdp_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    if !isFirst { _ = fdp_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
    if family == .ipv6 { _ = fdp_set_option(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
    // Accepted sockets inherit it, which saves a system call per client.
    if noDelay { _ = fdp_set_option(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
  }

  /// The first socket is bound without SO_REUSEPORT and gets it afterwards, for the ones that
  /// follow: with it, bind(2) would succeed next to another program of the same user that listens
  /// there in the same manner, and the two would share the clients.
  private static func bind(
    _ fd: Int32, to address: SocketAddress, isFirst: Bool
  ) throws(Errno) {
    var result = address.withSockAddr { fdp_bind(fd, $0, $1) }
    if result == -EADDRINUSE && address.removeAbandonedSocket() {
      result = address.withSockAddr { fdp_bind(fd, $0, $1) }
    }
    _ = try checked(result)
    if isFirst && address.family != .unix { _ = fdp_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
  }
}

extension SocketAddress {
  /// Removes the file of a Unix socket whose server is gone, which connect(2) tells. It says the
  /// same of a file that is no socket: that one stays.
  package func removeAbandonedSocket() -> Bool {
    guard let path = unixPath else { return false }
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
    let probe = fdp_socket(domain, Int32(SOCK_STREAM.rawValue))
    guard probe >= 0 else { return false }
    defer { _ = fdp_close(probe) }
    return withSockAddr { fdp_connect(probe, $0, $1) } == -ECONNREFUSED && unlink(path) == 0
  }
}

// MARK: - Those of a predecessor

extension ListeningSockets {
  /// Takes over sockets that listen already. Each is adopted: with fewer loops a loop gets several.
  /// With more loops the missing ones are opened anew, beside the others at the same port; where
  /// that is not possible the loops share what there is.
  init(
    adopting descriptors: [Int32], at address: SocketAddress, for loops: [EventLoop],
    sharing: Listener.Sharing, backlog: Int, noDelay: Bool
  ) throws(ListenError) {
    (askedAddress, self.address, ownsFile) = (address, address, false)
    let shares = Self.shares(loops, address, sharing)
    var rest = descriptors[...]
    var known: Set<ino_t> = []
    do throws(ListenError) {
      while let fd = rest.first {
        let bound = try Self.check(fd, address)
        rest.removeFirst()
        self.address = bound
        var status = stat()
        // A copy of one that was passed too.
        guard fstat(fd, &status) == 0, known.insert(status.st_ino).inserted else {
          _ = fdp_close(fd)
          continue
        }
        _ = fdp_set_nonblocking(fd)
        _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
        _ = fdp_listen(fd, Int32(clamping: backlog))
        if address.family != .unix {
          _ = fdp_set_option(fd, Int32(IPPROTO_TCP), TCP_NODELAY, noDelay ? 1 : 0)
        }
        let loops = shares[sockets.count % shares.count]
        sockets.append(Socket(descriptor: fd, loops: loops, isShared: loops.count > 1))
      }
      guard !sockets.isEmpty else {
        throw ListenError(address: address, cause: .unsuitable("no descriptor was passed for it"))
      }
      let adopted = sockets.count
      for loops in shares.dropFirst(adopted) {
        let original = sockets.count % adopted
        try addSocket(for: loops, besides: original, backlog: backlog, noDelay: noDelay)
      }
    } catch {
      giveUp()
      for fd in rest { _ = fdp_close(fd) }
      throw error
    }
  }

  private mutating func addSocket(
    for loops: [EventLoop], besides original: Int, backlog: Int, noDelay: Bool
  ) throws(ListenError) {
    if address.family != .unix {
      for socket in sockets { _ = fdp_set_option(socket.descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
      if let fd = try? Self.open(address, isFirst: false, backlog: backlog, noDelay: noDelay) {
        return sockets.append(Socket(descriptor: fd, loops: loops, isShared: loops.count > 1))
      }
    }
    let copy = fdp_duplicate(sockets[original].descriptor, 0)
    guard copy >= 0 else {
      throw ListenError(address: address, cause: .refused(Errno(rawValue: -copy)))
    }
    sockets[original].isShared = true
    sockets.append(Socket(descriptor: copy, loops: loops, isShared: true))
  }

  /// - Returns: where the socket listens.
  private static func check(
    _ fd: Int32, _ address: SocketAddress
  ) throws(ListenError) -> SocketAddress {
    func unsuitable(_ reason: String) -> ListenError {
      ListenError(
        address: address, cause: .unsuitable("the descriptor \(fd) passed for it \(reason)"))
    }
    var (type, listens): (Int32, Int32) = (0, 0)
    let result = fdp_get_option(fd, SOL_SOCKET, SO_TYPE, &type)
    guard result == 0 else {
      throw unsuitable(result == -EBADF ? "is not open" : "is no socket")
    }
    guard type == Int32(SOCK_STREAM.rawValue) else { throw unsuitable("is no stream socket") }
    _ = fdp_get_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens)
    guard listens != 0 else { throw unsuitable("does not listen") }
    guard let bound = localAddress(of: fd) else {
      throw unsuitable("is of another family than IPv4, IPv6 and Unix")
    }
    let isAnyPort =
      address.port == 0 && bound.family == address.family && bound.ipAddress == address.ipAddress
    guard bound == address || isAnyPort else { throw unsuitable("listens on \(bound)") }
    return bound
  }
}

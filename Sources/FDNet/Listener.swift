import CShims
import FDOwnership
public import FDPoller
import Glibc
import Logging
import Synchronization
public import SystemPackage

/// Why a listener could not be made.
public struct ListenError: Error, Equatable, Sendable {
  /// Where the listener was to listen.
  public let address: SocketAddress
  /// What the kernel said.
  public let errno: Errno
  let action: String
}

extension ListenError: CustomStringConvertible {
  /// One line: what, where, why, and what to do.
  public var description: String {
    let hint =
      switch errno {
      case .addressInUse: ": another program listens there"
      case .addressNotAvailable: ": no interface of this machine has that address"
      case .permissionDenied:
        ": ports below 1024 need a privilege, and a Unix socket a writable folder"
      default: ""
      }
    return "cannot \(action) \(address): \(errno) (errno \(errno.rawValue))\(hint)"
  }
}

/// Accepts connections at one address, on all loops of a poller.
///
/// It survives what accept(2) fails with: when descriptors or memory run out it turns one client
/// away with the help of a reserve descriptor, so that the queue moves, pauses for a while, and
/// goes on; everything is counted.
///
/// Callable from any thread.
public final class Listener: Sendable {
  /// How the loops share the work.
  public enum Sharing: Sendable {
    /// Every loop has a socket of its own (SO_REUSEPORT, socket(7)); the kernel spreads the
    /// clients. Unix sockets cannot, and are shared.
    case socketPerLoop
    /// The loops of a group share one socket, and one of them is woken per client (EPOLLEXCLUSIVE,
    /// epoll_ctl(2)).
    case socketPerGroup
  }

  /// The counts of a listener so far.
  public struct Statistics: Sendable, Equatable {
    /// Clients that were accepted.
    public var accepted = 0
    /// Clients that were turned away because no descriptor was left for them.
    public var turnedAway = 0
    /// Times that a loop stopped accepting for a while because the kernel was out of something.
    public var pauses = 0
  }

  /// The address, with the port that the kernel chose if none was asked for.
  public let address: SocketAddress
  private let poller: Poller
  private let sockets: [(socket: ListeningSocket, handle: FDHandle)]
  private let shared: ListenerShared

  /// Binds, listens, and accepts from then on.
  ///
  /// - Parameters:
  ///   - address: port 0 lets the kernel choose. A Unix socket's file that nobody listens at is
  ///     replaced.
  ///   - poller: started.
  ///   - sharing: how the loops share the work.
  ///   - backlog: clients that wait to be accepted, per socket; the kernel caps it (listen(2)).
  ///   - settings: of the accepted connections.
  ///   - makeHandler: called on the loop of each new connection; nil turns the client away.
  /// - Throws: `ListenError` with what the kernel refused.
  public init(
    _ address: SocketAddress, on poller: Poller, sharing: Sharing = .socketPerLoop,
    backlog: Int = 4096, settings: ConnectionSettings = ConnectionSettings(),
    makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) throws(ListenError) {
    self.poller = poller
    shared = ListenerShared(
      settings: settings, logger: poller.core.configuration.logger, makeHandler)
    var bound = address
    var sockets: [(ListeningSocket, FDHandle)] = []
    var first: Int32?
    do throws(ListenError) {
      for loops in Self.shares(poller.loops, address, sharing) {
        let fd: Int32
        if address.family == .unix, let first {
          fd = fdp_duplicate(first, 0)
          if fd < 0 { throw Self.error("share the socket of", address, fd) }
        } else {
          fd = try Self.bind(bound, backlog: backlog)
        }
        if first == nil {
          bound = SocketAddress.reading { fdp_local_address(fd, $0, $1) } ?? address
        }
        first = first ?? fd
        let socket = ListeningSocket(shared)
        var options: InsertOptions = .fresh
        if loops.count > 1 { options.insert(.exclusive) }
        if address.family == .unix { options.insert(.sharedWithOthers) }
        do {
          let handle = try poller.insert(
            FileDescriptor(rawValue: fd), handler: socket, on: .loops(loops), options: options)
          sockets.append((socket, handle))
        } catch {
          _ = fdp_close(fd)
          throw ListenError(
            address: address, errno: .badFileDescriptor, action: "listen, as \(error), on")
        }
      }
    } catch {
      for (_, handle) in sockets { poller.delete(handle) }
      throw error
    }
    self.address = bound
    self.sockets = sockets
  }

  /// Which loops get a socket together.
  private static func shares(
    _ loops: [EventLoop], _ address: SocketAddress, _ sharing: Sharing
  ) -> [[EventLoop]] {
    if sharing == .socketPerLoop && address.family != .unix { return loops.map { [$0] } }
    return Dictionary(grouping: loops, by: \.bit.group).values.map { $0 }
  }

  private static func error(_ action: String, _ address: SocketAddress, _ result: Int32)
    -> ListenError
  {
    ListenError(address: address, errno: Errno(rawValue: -result), action: action)
  }

  private static func bind(_ address: SocketAddress, backlog: Int) throws(ListenError) -> Int32 {
    let fd = fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue))
    guard fd >= 0 else { throw error("make a socket for", address, fd) }
    var result: Int32 = 0
    if address.family != .unix {
      _ = fdp_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)
      _ = fdp_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)
      // What an accepted socket inherits is not set once per client.
      if address.family == .ipv6 { _ = fdp_set_option(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
    }
    result = address.withSockAddr { fdp_bind(fd, $0, $1) }
    if result == -EADDRINUSE && removeAbandonedSocket(address) {
      result = address.withSockAddr { fdp_bind(fd, $0, $1) }
    }
    if result == 0 { result = fdp_listen(fd, Int32(clamping: backlog)) }
    guard result == 0 else {
      _ = fdp_close(fd)
      throw error("listen on", address, result)
    }
    return fd
  }

  /// Removes the file of a Unix socket whose server is gone, which connect(2) tells.
  private static func removeAbandonedSocket(_ address: SocketAddress) -> Bool {
    guard let path = address.unixPath else { return false }
    let probe = fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue))
    guard probe >= 0 else { return false }
    defer { _ = fdp_close(probe) }
    return address.withSockAddr { fdp_connect(probe, $0, $1) } == -ECONNREFUSED && unlink(path) == 0
  }

  /// Stops listening. Clients that the kernel has already queued are still accepted.
  public func close() {
    guard !shared.isClosed.exchange(true, ordering: .relaxed) else { return }
    if let path = address.unixPath { unlink(path) }
    for (socket, handle) in sockets {
      let owner = poller.loops.first { $0.owns(handle) }
      let poller = poller
      let isRunning = owner?.run {
        EventLoop.current.map { socket.acceptAll(handle, on: $0, bound: .max) }
        poller.delete(handle)
      }
      if isRunning != true { poller.delete(handle) }
    }
  }

  /// What has been counted so far.
  public var statistics: Statistics { shared.statistics }
}

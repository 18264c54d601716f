import CShims
import FDOwnership
public import FDPoller
import Glibc
import Logging
import Synchronization
public import SystemPackage

/// Why a listener could not be made.
public struct ListenError: Error, Equatable, Sendable {
  /// What went wrong.
  public enum Cause: Equatable, Sendable {
    /// The kernel refused.
    case refused(Errno)
    /// The poller did not take the socket.
    case poller(PollerError)
  }

  /// Where the listener was to listen.
  public let address: SocketAddress
  /// Why it does not.
  public let cause: Cause
}

extension ListenError: CustomStringConvertible {
  /// One line: where, why, and what to do.
  public var description: String {
    let reason =
      switch cause {
      case .refused(let errno): "\(errno) (errno \(errno.rawValue))\(hint(errno))"
      case .poller(let error): "\(error)"
      }
    return "cannot listen on \(address): \(reason)"
  }

  private func hint(_ errno: Errno) -> String {
    switch errno {
    case .addressInUse where address.family == .unix:
      ": another program listens there, or the file is no socket"
    case .addressInUse: ": another program listens there"
    case .addressNotAvailable: ": no interface of this machine has that address"
    case .permissionDenied where address.family == .unix: ": the folder is not writable"
    case .permissionDenied: ": ports below 1024 need a privilege"
    default: ""
    }
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
  private let backlog: Int
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
    self.backlog = backlog
    let shares = Self.shares(poller.loops, address, sharing)
    shared = ListenerShared(
      poller.core, mostQueued: shares.count * backlog, settings: settings, makeHandler)
    var descriptors = try Self.open(
      shares.count, at: address, backlog: backlog, noDelay: settings.noDelay)
    self.address =
      SocketAddress.reading { fdp_local_address(descriptors[0], $0, $1) } ?? address
    var sockets: [(ListeningSocket, FDHandle)] = []
    do throws(PollerError) {
      for loops in shares {
        let isShared = loops.count > 1 || address.family == .unix && shares.count > 1
        let socket = ListeningSocket(shared, isShared: isShared)
        var options: InsertOptions = .fresh
        // A stream would take clients that another loop has the time for.
        options.formUnion(isShared ? .exclusive : [.stream, .listens])
        if !shared.mayTakeAhead { options.insert(.readsByPoll) }
        if address.family == .unix { options.insert(.sharedWithOthers) }
        let handle = try poller.insert(
          FileDescriptor(rawValue: descriptors[0]), handler: socket, on: .loops(loops),
          options: options)
        descriptors.removeFirst()
        sockets.append((socket, handle))
      }
    } catch {
      for (_, handle) in sockets { poller.delete(handle) }
      Self.giveUp(descriptors)
      throw ListenError(address: address, cause: .poller(error))
    }
    self.sockets = sockets
  }

  /// Which loops get a socket together.
  private static func shares(
    _ loops: [EventLoop], _ address: SocketAddress, _ sharing: Sharing
  ) -> [[EventLoop]] {
    if sharing == .socketPerLoop && address.family != .unix { return loops.map { [$0] } }
    return Dictionary(grouping: loops, by: \.bit.group).values.map { $0 }
  }

  /// Makes the listening sockets of one address: copies of one for a Unix address, otherwise
  /// sockets of their own that share the port.
  private static func open(
    _ count: Int, at address: SocketAddress, backlog: Int, noDelay: Bool
  ) throws(ListenError) -> [Int32] {
    var descriptors: [Int32] = []
    var bound = address
    do throws(Errno) {
      for _ in 0..<count {
        if address.family == .unix, let first = descriptors.first {
          descriptors.append(try checked(fdp_duplicate(first, 0)))
          continue
        }
        let isFirst = descriptors.isEmpty
        let fd = try checked(fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue)))
        descriptors.append(fd)
        if address.family != .unix { prepare(fd, address.family, isFirst: isFirst, noDelay) }
        try bind(fd, to: bound, isFirst: isFirst)
        _ = try checked(fdp_listen(fd, Int32(clamping: backlog)))
        if isFirst { bound = SocketAddress.reading { fdp_local_address(fd, $0, $1) } ?? address }
      }
    } catch {
      giveUp(descriptors)
      throw ListenError(address: address, cause: .refused(error))
    }
    return descriptors
  }

  private static func checked(_ result: Int32) throws(Errno) -> Int32 {
    guard result >= 0 else { throw Errno(rawValue: -result) }
    return result
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
    if result == -EADDRINUSE && removeAbandonedSocket(address) {
      result = address.withSockAddr { fdp_bind(fd, $0, $1) }
    }
    _ = try checked(result)
    if isFirst && address.family != .unix { _ = fdp_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) }
  }

  private static func giveUp(_ descriptors: [Int32]) {
    // Only what one of these was bound to is ours to remove.
    if let first = descriptors.first,
      let path = SocketAddress.reading({ fdp_local_address(first, $0, $1) })?.unixPath
    {
      unlink(path)
    }
    for fd in descriptors { _ = fdp_close(fd) }
  }

  /// Removes the file of a Unix socket whose server is gone, which connect(2) tells. It says the
  /// same of a file that is no socket: that one stays.
  private static func removeAbandonedSocket(_ address: SocketAddress) -> Bool {
    guard let path = address.unixPath, isSocket(path) else { return false }
    let probe = fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue))
    guard probe >= 0 else { return false }
    defer { _ = fdp_close(probe) }
    return address.withSockAddr { fdp_connect(probe, $0, $1) } == -ECONNREFUSED && unlink(path) == 0
  }

  private static func isSocket(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
  }

  /// Stops listening. Clients that the kernel has already queued are still accepted.
  public func close() {
    guard !shared.isClosed.exchange(true, ordering: .relaxed) else { return }
    if let path = address.unixPath { unlink(path) }
    // No more were queued than that; who comes later is not waited for.
    let bound = Int(Int32(clamping: backlog)) + 1
    for (socket, handle) in sockets {
      let owner = poller.loops.first { $0.owns(handle) }
      let isRunning = owner?.run {
        guard let owner else { return }
        owner.quiet(handle) {
          guard owner.owns(handle) else { return }
          let atHand = owner.clientsAtHand(of: handle)
          socket.acceptAll(handle, on: owner, bound: bound + atHand)
          owner.delete(handle)
        }
      }
      if isRunning != true { poller.delete(handle) }
    }
  }

  /// What has been counted so far.
  public var statistics: Statistics { shared.statistics }
}

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
    /// A descriptor that was passed is not what it should be; why, in words.
    case unsuitable(String)
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
      case .unsuitable(let reason): reason
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
  let poller: Poller
  let backlog: Int
  let sockets: [(socket: ListeningSocket, handle: FDHandle)]
  let shared: ListenerShared

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
  public convenience init(
    _ address: SocketAddress, on poller: Poller, sharing: Sharing = .socketPerLoop,
    backlog: Int = 4096, settings: ConnectionSettings = ConnectionSettings(),
    makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) throws(ListenError) {
    let sockets = try ListeningSockets(
      at: address, for: poller.loops, sharing: sharing, backlog: backlog, noDelay: settings.noDelay)
    try self.init(sockets, on: poller, backlog: backlog, settings: settings, makeHandler)
  }

  /// Goes on with sockets that listen already, of a predecessor or of whoever has started this
  /// program, and accepts from then on.
  ///
  /// Each of them is adopted, so that no client waits at one in vain: with fewer loops a loop gets
  /// several. Loops that are left without are given sockets of their own as `sharing` says, or copies
  /// where that is not possible. The file of a Unix socket is from here on this listener's to remove.
  ///
  /// - Parameters:
  ///   - descriptors: listening stream sockets. They are the listener's from here on, which closes
  ///     them; also if it throws.
  ///   - address: where they listen; port 0 is any.
  ///   - poller: started.
  ///   - sharing: how the loops share the work.
  ///   - backlog: clients that wait to be accepted, per socket; the kernel caps it (listen(2)).
  ///   - settings: of the accepted connections.
  ///   - makeHandler: called on the loop of each new connection; nil turns the client away.
  /// - Throws: `ListenError`, `unsuitable` if a descriptor is something else.
  public convenience init(
    adopting descriptors: [FileDescriptor], at address: SocketAddress, on poller: Poller,
    sharing: Sharing = .socketPerLoop, backlog: Int = 4096,
    settings: ConnectionSettings = ConnectionSettings(),
    makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) throws(ListenError) {
    let sockets = try ListeningSockets(
      adopting: descriptors.map(\.rawValue), at: address, for: poller.loops, sharing: sharing,
      backlog: backlog, noDelay: settings.noDelay)
    try self.init(sockets, on: poller, backlog: backlog, settings: settings, makeHandler)
  }

  private init(
    _ plan: consuming ListeningSockets, on poller: Poller, backlog: Int,
    settings: ConnectionSettings,
    _ makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) throws(ListenError) {
    self.poller = poller
    self.backlog = backlog
    address = plan.address
    shared = ListenerShared(
      poller.core, mostQueued: plan.sockets.count * backlog, settings: settings, makeHandler)
    var sockets: [(ListeningSocket, FDHandle)] = []
    do throws(PollerError) {
      while let next = plan.sockets.first {
        let socket = ListeningSocket(shared, isShared: next.isShared)
        // Copies of it may be with another process.
        var options: InsertOptions = [.fresh, .sharedWithOthers]
        // A stream would take clients that another loop has the time for.
        options.formUnion(next.isShared ? .exclusive : [.stream, .listens])
        if !shared.mayTakeAhead { options.insert(.readsByPoll) }
        let handle = try poller.insert(
          FileDescriptor(rawValue: next.descriptor), handler: socket, on: .loops(next.loops),
          options: options)
        plan.removeFirst()
        sockets.append((socket, handle))
      }
    } catch {
      for (_, handle) in sockets { poller.delete(handle) }
      plan.giveUp()
      throw ListenError(address: plan.askedAddress, cause: .poller(error))
    }
    self.sockets = sockets
  }

  /// What has been counted so far.
  public var statistics: Statistics { shared.statistics }
}

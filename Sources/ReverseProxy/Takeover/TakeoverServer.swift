import CShims
package import FDNet
import FDPoller
import Glibc
package import Logging
import Synchronization
package import SystemPackage

/// Waits at a Unix socket for a successor, and passes the listening sockets on to it. A thread of its
/// own does that, which sleeps until somebody comes.
///
/// The socket's file has mode 0600 from the moment it exists, and a process of another user than
/// this one's or root is turned away. `TakeoverMessage` has the protocol.
///
/// Callable from any thread, save its two callbacks.
package final class TakeoverServer: @unchecked Sendable {
  /// A listener's address, and copies of its descriptors that the receiver closes.
  package typealias Offer = (address: SocketAddress, descriptors: [FileDescriptor])

  package let path: String
  private let address: SocketAddress
  private let socket: Int32
  private let logger: Logger
  private let offers: @Sendable () throws -> [Offer]
  private let handOver: @Sendable () -> Void
  private let mayTake: @Sendable (_ user: UInt32) -> Bool
  private let isClosing = Atomic(false)
  private let hasHandedOver = Atomic(false)
  private let closing = PlatformLock()
  private var thread: pthread_t?

  /// How long a successor may take over each of its messages.
  private static let patience = Duration.seconds(10)
  /// How long it may take until it accepts.
  private static let patienceUntilReady = Duration.seconds(60)

  /// Begins to wait.
  ///
  /// - Parameters:
  ///   - path: a file that is no socket, or at which somebody else waits, is not replaced.
  ///   - logger: is told who comes, and what becomes of it.
  ///   - mayTake: which users' processes may have the sockets.
  ///   - offers: what there is to pass on; see `Listener.duplicatedDescriptors()`. What it throws is
  ///     told to the successor. On the server's thread.
  ///   - handOver: a successor accepts: hand every listener over (`Listener.handOver`), and drain. Nobody
  ///     is waited for any more. On the server's thread; must not close the server.
  /// - Throws: `TakeoverError`.
  package init(
    path: String, _ logger: Logger,
    mayTake: @escaping @Sendable (_ user: UInt32) -> Bool = { $0 == geteuid() || $0 == 0 },
    offers: @escaping @Sendable () throws -> [Offer], handOver: @escaping @Sendable () -> Void
  ) throws(TakeoverError) {
    address = try Self.address(path)
    self.path = path
    self.logger = logger
    self.mayTake = mayTake
    self.offers = offers
    self.handOver = handOver
    socket = try Self.listen(address, path)
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let result = fdp_thread_start(
      &thread, "takeover",
      { context in
        Unmanaged<TakeoverServer>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
      }, context.toOpaque())
    guard result == 0 else {
      unlink(path)
      context.release()
      throw TakeoverError(path: path, cause: .failed("start a thread", Errno(rawValue: -result)))
    }
    self.thread = thread
  }

  deinit { _ = fdp_close(socket) }

  static func address(_ path: String) throws(TakeoverError) -> SocketAddress {
    // Whoever comes first has an abstract name, and it has no mode.
    guard !path.hasPrefix("@") else {
      throw TakeoverError(
        path: path, cause: .unsuitablePath("an abstract name has no owner; write a file's path"))
    }
    do {
      return try .unix(path: path)
    } catch {
      throw TakeoverError(path: path, cause: .unsuitablePath(error.reason))
    }
  }

  private static func listen(
    _ address: SocketAddress, _ path: String
  ) throws(TakeoverError) -> Int32 {
    func check(_ result: Int32, _ what: String) throws(TakeoverError) -> Int32 {
      if result >= 0 { return result }
      throw TakeoverError(path: path, cause: .failed(what, Errno(rawValue: -result)))
    }
    let socket = try check(fdp_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue)), "make a socket")
    do throws(TakeoverError) {
      // Linux makes the file with the socket's own mode: there is no moment with another one, and
      // the umask, which other threads may need, stays as it is.
      _ = try check(fdp_set_mode(socket, 0o600), "set the mode of a socket")
      var result = address.withSockAddr { fdp_bind(socket, $0, $1) }
      if result == -EADDRINUSE && address.removeAbandonedSocket() {
        result = address.withSockAddr { fdp_bind(socket, $0, $1) }
      }
      _ = try check(result, "wait there")
      _ = try check(fdp_listen(socket, 4), "wait there")
    } catch {
      _ = fdp_close(socket)
      throw error
    }
    return socket
  }

  /// Waits for nobody any more, and removes the file. Ends a takeover that is not confirmed yet.
  /// Has to be called before the server is dropped.
  package func close() {
    closing.withLock {
      guard let thread else { return }
      isClosing.store(true, ordering: .releasing)
      // Wakes the thread.
      _ = fdp_shutdown(socket, Int32(SHUT_RDWR))
      fdp_thread_join(thread)
      self.thread = nil
    }
  }
}

// MARK: - On the thread

extension TakeoverServer {
  private func run() {
    while !isClosing.load(ordering: .acquiring) && !hasHandedOver.load(ordering: .relaxed) {
      _ = fdp_poll(socket, POLLIN, -1)
      let client = fdp_accept(socket, nil, nil)
      if client >= 0 {
        serve(TakeoverChannel(client, path: path))
      } else if client != -EAGAIN {
        // Out of descriptors, perhaps: the successor waits.
        usleep(10_000)
      }
    }
    if !hasHandedOver.load(ordering: .relaxed) { unlink(path) }
  }

  private func serve(_ channel: consuming TakeoverChannel) {
    do throws(TakeoverError) {
      let (process, user) = try channel.peer()
      guard mayTake(user) else {
        return logger.warning(
          "a process of another user is turned away that wants the listening sockets",
          metadata: ["process": "\(process)", "user": "\(user)", "path": "\(path)"])
      }
      logger.notice(
        "a successor takes the listening sockets", metadata: ["process": "\(process)"])
      try pass(to: channel)
      logger.notice(
        "the successor accepts; handing over", metadata: ["process": "\(process)"])
    } catch {
      logger.warning(
        "a takeover has come to nothing; this process goes on", metadata: ["reason": "\(error)"])
    }
  }

  private func deadline(_ duration: Duration) -> TakeoverChannel.Deadline {
    TakeoverChannel.Deadline(in: duration) { [self] in isClosing.load(ordering: .acquiring) }
  }

  private func pass(to channel: borrowing TakeoverChannel) throws(TakeoverError) {
    do throws(TakeoverError) {
      _ = try channel.receive(.hello, until: deadline(Self.patience))
    } catch {
      // So that a successor of another version learns of this one.
      if case .wrongVersion = error.cause { refuse(channel, "\(error.cause)") }
      throw error
    }
    let offers: [Offer]
    do {
      offers = try self.offers()
    } catch {
      refuse(channel, "\(error)")
      throw channel.error(.refused("\(error)"))
    }
    defer { for offer in offers { for copy in offer.descriptors { _ = fdp_close(copy.rawValue) } } }
    for offer in offers {
      var rest = offer.descriptors.map(\.rawValue)[...]
      while !rest.isEmpty {
        let some = rest.prefix(Int(FDP_DESCRIPTORS))
        rest = rest.dropFirst(some.count)
        try channel.send(
          TakeoverMessage(.listener, text: "\(offer.address)", descriptorCount: some.count),
          some, until: deadline(Self.patience))
      }
    }
    try channel.send(TakeoverMessage(.end), until: deadline(Self.patience))
    _ = try channel.receive(.ready, until: deadline(Self.patienceUntilReady))
    hasHandedOver.store(true, ordering: .relaxed)
    // Before the successor is told: it wants to wait there itself.
    unlink(path)
    handOver()
    // A successor that does not wait for it has got what it wanted all the same.
    try? channel.send(TakeoverMessage(.handedOver), until: deadline(Self.patience))
  }

  private func refuse(_ channel: borrowing TakeoverChannel, _ why: String) {
    try? channel.send(TakeoverMessage(.refused, text: why), until: deadline(Self.patience))
  }
}

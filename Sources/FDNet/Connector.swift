import CShims
public import FDPoller
import Glibc
public import SystemPackage

/// Why a connection could not be made.
public struct ConnectError: Error, Equatable, Sendable {
  /// What went wrong.
  public enum Cause: Equatable, Sendable {
    /// connect(2) had not finished by the deadline.
    case timedOut(Duration)
    /// The kernel or the peer refused.
    case refused(Errno)
    /// The poller did not take the socket.
    case poller(PollerError)
    /// The connection was aborted, or the poller stopped, before it was made.
    case cancelled
  }

  /// Where the connection was to lead.
  public let address: SocketAddress
  /// Why it could not be made.
  public let cause: Cause

  package init(address: SocketAddress, cause: Cause) {
    self.address = address
    self.cause = cause
  }
}

extension ConnectError: CustomStringConvertible {
  /// One line: what, where and why.
  public var description: String {
    let reason =
      switch cause {
      case .timedOut(let duration): "no answer within \(duration)"
      case .refused(let errno): "\(errno) (errno \(errno.rawValue))"
      case .poller(let error): "\(error)"
      case .cancelled: "cancelled"
      }
    return "cannot connect to \(address): \(reason)"
  }
}

/// Makes outgoing connections without blocking.
public enum Connector {
  /// Connects to an address. On the loop.
  ///
  /// - Parameters:
  ///   - address: of the peer.
  ///   - loop: the calling loop, on which the connection will run.
  ///   - deadline: how long connect(2) may take; nil leaves it to the kernel (tcp(7),
  ///     tcp_syn_retries).
  ///   - settings: of the connection.
  ///   - completion: called on the loop, once, and not within this call. It sets the connection's
  ///     handler.
  /// - Returns: the connection in the making, whose `abort()` cancels the attempt; nil if it failed
  ///   at once.
  @discardableResult
  public static func connect(
    to address: SocketAddress, on loop: EventLoop, deadline: Duration?,
    settings: ConnectionSettings,
    _ completion: @escaping (Result<Connection, ConnectError>) -> Void
  ) -> Connection? {
    connect(
      to: address, on: loop, deadline: deadline, settings: settings, options: .stream, completion)
  }

  static func connect(
    to address: SocketAddress, on loop: EventLoop, deadline: Duration?,
    settings: ConnectionSettings, options: InsertOptions,
    _ completion: @escaping (Result<Connection, ConnectError>) -> Void
  ) -> Connection? {
    precondition(loop.isCurrent, "a loop connects for itself")
    do {
      return try begin(address, loop, deadline, settings, options, completion)
    } catch {
      loop.defer { completion(.failure(error)) }
      return nil
    }
  }

  private static func begin(
    _ address: SocketAddress, _ loop: EventLoop, _ deadline: Duration?,
    _ settings: ConnectionSettings, _ options: InsertOptions,
    _ completion: @escaping (Result<Connection, ConnectError>) -> Void
  ) throws(ConnectError) -> Connection? {
    let fd = fdp_socket(address.domain, Int32(SOCK_STREAM.rawValue))
    guard fd >= 0 else {
      throw ConnectError(address: address, cause: .refused(Errno(rawValue: -fd)))
    }
    if settings.noDelay && address.family != .unix {
      _ = fdp_set_option(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }
    let connection = Connection(loop: loop, settings: settings, phase: .connecting)
    let connecting = Connecting(to: address, deadline: deadline, completion)
    connection.companion = connecting
    if let deadline {
      connection.deadlines.connectDue = EventLoop.clock() + deadline.wholeNanoseconds
    }
    do {
      try connection.insert(fd, options)
    } catch {
      _ = fdp_close(fd)
      throw ConnectError(address: address, cause: .poller(error))
    }
    let isLocal = address.family == .unix
    let result = address.withSockAddr {
      loop.connect(connection.handle, $0, $1, isLocal: isLocal)
    }
    guard case .failed(let errno) = result else { return connection }
    connecting.fail(connection, .refused(errno))
    return nil
  }
}

/// Accompanies a connection until connect(2) has finished, and tells how it went.
private final class Connecting: ConnectionCompanion {
  private let address: SocketAddress
  private let deadline: Duration?
  private let completion: (Result<Connection, ConnectError>) -> Void
  private var failure = ConnectError.Cause.cancelled

  init(
    to address: SocketAddress, deadline: Duration?,
    _ completion: @escaping (Result<Connection, ConnectError>) -> Void
  ) {
    self.address = address
    self.deadline = deadline
    self.completion = completion
  }

  func ready(_ connection: Connection, _ readiness: Readiness) {
    guard readiness.mayWrite else { return }
    switch connection.loop.connectResult(connection.handle) {
    case .done:
      connection.becomeOpen()
      completion(.success(connection))
    case .wouldBlock:
      break
    case .failed(let errno):
      fail(connection, .refused(errno))
    }
  }

  func timedOut(_ connection: Connection) {
    fail(connection, .timedOut(deadline ?? .zero))
  }

  func fail(_ connection: Connection, _ cause: ConnectError.Cause) {
    failure = cause
    connection.end(.finished)
  }

  func departed(_ connection: Connection) {
    completion(.failure(ConnectError(address: address, cause: failure)))
  }
}

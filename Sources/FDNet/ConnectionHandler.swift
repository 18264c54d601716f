import FDPoller
public import SystemPackage

/// What a connection tells its user. All calls come on the connection's loop, never two at once,
/// and never from within a call that the user makes.
///
/// After `closed` nothing comes any more.
public protocol ConnectionHandler: AnyObject {
  /// Bytes have arrived.
  ///
  /// - Parameters:
  ///   - bytes: valid during the call; at least one.
  ///   - connection: on which they arrived.
  func received(_ bytes: RawSpan, on connection: Connection)

  /// The peer has sent all it will. It may still read: by default the connection is closed in
  /// order.
  func inputEnded(on connection: Connection)

  /// The output was above the high watermark and has fallen to the low one, or is lost because the
  /// peer takes nothing any more: what is written then is refused.
  func drained(_ connection: Connection)

  /// The connection runs on another loop now. Called there.
  func moved(_ connection: Connection)

  /// The connection is gone: the last call, exactly once.
  func closed(_ connection: Connection, _ reason: CloseReason)
}

extension ConnectionHandler {
  /// Closes the connection in order.
  public func inputEnded(on connection: Connection) { connection.close() }
  /// Does nothing.
  public func drained(_ connection: Connection) {}
  /// Does nothing.
  public func moved(_ connection: Connection) {}
  /// Does nothing.
  public func closed(_ connection: Connection, _ reason: CloseReason) {}
}

/// Why a connection is gone.
public enum CloseReason: Sendable, Equatable {
  /// Both directions were finished in order.
  case finished
  /// `abort()` was called.
  case aborted
  /// A deadline passed.
  case timedOut(ConnectionDeadline)
  /// The kernel or the peer ended it: `.connectionReset`, `.brokenPipe`, ...
  case failed(Errno)
  /// It was deleted without the connection being asked, as when the poller stops.
  case deleted
}

/// The deadlines of a connection.
public enum ConnectionDeadline: Sendable, Equatable {
  /// Nothing moved in either direction while the connection waited for its peer: it was reading, or
  /// had output queued.
  case idle
  /// The peer sent nothing while the connection was reading.
  case read
  /// The peer took nothing of the output that waits for it.
  case write
  /// A close in order did not come to its end: the peer took no more of the output, or did not end
  /// its side.
  case drain
}

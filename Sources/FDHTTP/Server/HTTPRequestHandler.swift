public import FDNet

/// Answers the requests of one connection. All calls come on the connection's loop, never two at
/// once.
///
/// A request is `requested`, then its body in pieces `received`, then `requestEnded`; the answer may
/// begin at any moment from `requested` on, and the next request comes when both are complete. If
/// an exchange ends before that it is `cancelled`, and may not be answered any more.
public protocol HTTPRequestHandler: AnyObject {
  /// A request's head has arrived.
  ///
  /// - Parameters:
  ///   - head: valid during the call.
  ///   - connection: the client's, which takes the answer.
  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection)

  /// A piece of the request's body has arrived, or of what follows an upgrade.
  ///
  /// - Parameters:
  ///   - bytes: valid during the call; at least one.
  ///   - connection: the client's.
  func received(_ bytes: RawSpan, on connection: HTTPServerConnection)

  /// The request is complete; `HTTPServerConnection.trailerSection` has its trailers.
  func requestEnded(on connection: HTTPServerConnection)

  /// The output was above the high watermark and has fallen to the low one.
  func drained(_ connection: HTTPServerConnection)

  /// After an upgrade: the client has sent all it will.
  func inputEnded(on connection: HTTPServerConnection)

  /// The exchange has ended before both sides were complete.
  func cancelled(_ cause: HTTPCancellation, on connection: HTTPServerConnection)

  /// The time that was given to `setDeadline` has passed.
  func deadlinePassed(on connection: HTTPServerConnection)

  /// The connection runs on another loop now. Between two exchanges.
  func moved(_ connection: HTTPServerConnection)

  /// The connection is gone: the last call, exactly once.
  func closed(_ connection: HTTPServerConnection, _ reason: CloseReason)
}

extension HTTPRequestHandler {
  /// Drops it.
  public func received(_ bytes: RawSpan, on connection: HTTPServerConnection) {}
  /// Does nothing.
  public func requestEnded(on connection: HTTPServerConnection) {}
  /// Does nothing.
  public func drained(_ connection: HTTPServerConnection) {}
  /// Closes the connection in order.
  public func inputEnded(on connection: HTTPServerConnection) { connection.close() }
  /// Does nothing.
  public func cancelled(_ cause: HTTPCancellation, on connection: HTTPServerConnection) {}
  /// Does nothing.
  public func deadlinePassed(on connection: HTTPServerConnection) {}
  /// Does nothing.
  public func moved(_ connection: HTTPServerConnection) {}
  /// Does nothing.
  public func closed(_ connection: HTTPServerConnection, _ reason: CloseReason) {}
}

/// Why an exchange has ended before both sides were complete. Where no answer had begun, the
/// connection sends one with the status in brackets.
public enum HTTPCancellation: Sendable, Equatable {
  /// The connection is gone.
  case disconnected(CloseReason)
  /// The client has ended its side in the middle of the body (400).
  case truncated
  /// The body broke a rule (400).
  case violation(HTTPViolation)
  /// The body did not go on in time (408).
  case timedOut
}

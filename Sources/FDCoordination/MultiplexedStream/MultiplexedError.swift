public import FDNet
public import SystemPackage

/// Why a multiplexed connection, or one stream of it, does not go on.
public enum MultiplexedError: Error, Hashable, Sendable {
  // Of a connection, and so of all its streams. The first one stays.

  /// It was closed here.
  case closed
  /// The peer has closed it on purpose.
  case closedByPeer
  /// The connection ended without the peer having said goodbye: it has crashed, or somebody in
  /// between has cut the line.
  case endOfInput
  /// The kernel or the peer ended it.
  case failed(Errno)
  /// The peer took nothing of what was being written for so long.
  case sendTimedOut(Duration)
  /// The peer answers no heartbeat, and was not heard for so long.
  case peerVanished(silence: Duration)
  /// The peer sent what it must not.
  case malformed(FrameError)
  /// One of the connection's own deadlines has passed.
  case connectionTimedOut(ConnectionDeadline)
  /// The poller has stopped.
  case pollerStopped

  // Of one stream.

  /// `finish` was called: nothing can be sent any more.
  case finished
  /// The peer listens no more on this stream.
  case peerStoppedListening
  /// This end was reset here, or closed.
  case streamClosed
  /// The peer has reset the stream, for a reason that the code tells.
  case resetByPeer(code: UInt32)
  /// The peer has as many streams as it wants.
  case refusedByPeer
  /// A message is larger than the limit; both in bytes.
  case messageTooLarge(count: Int, limit: Int)
  /// No more streams may be open towards the peer than so many.
  case tooManyStreams(limit: Int)
  /// What a new stream is for takes more bytes than the limit.
  case openingTooLarge(count: Int, limit: Int)
}

extension MultiplexedError: CustomStringConvertible {
  /// One line: what happened.
  public var description: String {
    switch self {
    case .closed: "the multiplexed connection was closed here"
    case .closedByPeer: "the peer has closed the multiplexed connection"
    case .endOfInput: "the multiplexed connection ended without a goodbye of the peer"
    case .failed(let errno):
      "the multiplexed connection failed: \(errno) (errno \(errno.rawValue))"
    case .sendTimedOut(let limit): "the peer took nothing of a write for \(limit)"
    case .peerVanished(let silence):
      "the peer has vanished: it was not heard for \(silence) and answers no heartbeat"
    case .malformed(let error): "the peer sent malformed frames: \(error)"
    case .connectionTimedOut(let deadline): "the \(deadline) deadline of the connection has passed"
    case .pollerStopped: "the poller has stopped"
    case .finished: "the stream is finished: it takes no more messages"
    case .peerStoppedListening: "the peer listens no more on this stream"
    case .streamClosed: "the stream was closed here"
    case .resetByPeer(let code): "the peer has reset the stream with code \(code)"
    case .refusedByPeer: "the peer takes no more streams at the moment"
    case .messageTooLarge(let count, let limit):
      "a message of \(count) bytes is larger than the limit of \(limit)"
    case .tooManyStreams(let limit): "the peer allows \(limit) open streams, and all are in use"
    case .openingTooLarge(let count, let limit):
      "an opening of \(count) bytes is larger than the limit of \(limit)"
    }
  }
}

extension MultiplexedError {
  /// What the connection under it says.
  init(_ reason: CloseReason) {
    self =
      switch reason {
      case .finished: .endOfInput
      case .aborted: .closed
      case .timedOut(let deadline): .connectionTimedOut(deadline)
      case .failed(let errno): .failed(errno)
      case .deleted: .pollerStopped
      }
  }
}

public import FDNet
import SystemPackage

/// A connection is gone, and something was still to be done with it.
public struct ConnectionClosed: Error, Equatable, Sendable {
  /// Why it is gone.
  public let reason: CloseReason

  /// - Parameter reason: why it is gone.
  public init(reason: CloseReason) { self.reason = reason }
}

extension ConnectionClosed: CustomStringConvertible {
  /// One line: what, and why.
  public var description: String {
    let cause =
      switch reason {
      case .finished: "it was closed in order"
      case .aborted: "it was aborted here"
      case .timedOut(let deadline): "its \(deadline) deadline passed"
      case .failed(let errno): "\(errno) (errno \(errno.rawValue))"
      case .deleted: "it was deleted, as when its poller stops"
      }
    return "the connection is gone: \(cause)"
  }
}

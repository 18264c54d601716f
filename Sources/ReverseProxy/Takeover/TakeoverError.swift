package import SystemPackage

/// Why listening sockets did not go from one process to another.
package struct TakeoverError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Cause: Equatable, Sendable {
    /// No process waits at the path for a successor.
    case nobodyThere
    /// The process there does not want to, and says why.
    case refused(String)
    /// It speaks another version of the protocol.
    case wrongVersion(UInt16)
    /// It is not of this user, nor of root: it could pass anything.
    case foreignOwner(user: UInt32)
    /// A message that is none, or not a whole one.
    case malformed(String)
    /// The other process has gone, or closed the connection.
    case ended
    case timedOut
    /// This process is closing its end.
    case closed
    /// Not a path at which a server can wait.
    case unsuitablePath(String)
    /// What the kernel has refused to do.
    case failed(String, Errno)
  }

  /// Of the Unix socket.
  package let path: String
  package let cause: Cause

  package var description: String { "takeover by \(path.debugDescription): \(reason)" }

  private var reason: String {
    switch cause {
    case .nobodyThere: "no process waits there; start without a predecessor, or check the path"
    case .refused(let why): "the process there refuses: \(why)"
    case .wrongVersion(let version):
      "the process there speaks version \(version) of the protocol and not "
        + "\(TakeoverMessage.version); stop it first, and start again"
    case .foreignOwner(let user):
      "the process there is of user \(user); have one of this user or of root wait there"
    case .malformed(let what): "\(what); the process there is no fdproxy, or another version"
    case .ended:
      "the process there has closed the connection; its log says why "
        + "(it passes its sockets on to its own user and to root only)"
    case .timedOut: "the process there does not answer in time"
    case .closed: "this process is closing it"
    case .unsuitablePath(let why): why
    case .failed(let what, let errno):
      "cannot \(what): \(errno) (errno \(errno.rawValue))"
        + (errno == .addressInUse ? ": a process waits there, or the file is no socket" : "")
    }
  }
}

public import SystemPackage

/// Why the poller could not do what it was asked.
public enum PollerError: Error, Equatable, Sendable {
  /// The configuration cannot work; the text says what to change.
  case invalidConfiguration(String)
  /// A system call failed while doing what the text says.
  case kernelRefused(String, Errno)
  /// `PollerConfiguration.io` asks for io_uring, and it cannot be used; the text says why.
  case ioUringUnavailable(String)
  /// The descriptor number does not fit into the table, which was sized by the limit of open
  /// descriptors when the poller was made.
  case numberTooLarge(fd: Int32, limit: Int)
  /// The slot of that number holds a descriptor that has not left the poller: inserted twice, or
  /// closed by somebody else. The text is the slot in words.
  case occupied(fd: Int32, String)
  /// The poller is not running: it has not been started, or it is stopping.
  case notRunning
  /// The given loops are not loops of one group of this poller.
  case invalidPlacement(String)
  /// `stop` gave up at its deadline; the texts are the descriptors and loops that did not finish,
  /// in words.
  case stopTimedOut(remaining: [String])
  /// The process was forked from the one that made the poller; loops do not survive a fork.
  case forked
}

extension PollerError: CustomStringConvertible {
  /// One line: what, where, and what to do.
  public var description: String {
    switch self {
    case .invalidConfiguration(let text):
      text
    case .kernelRefused(let action, let errno):
      "cannot \(action): \(errno) (errno \(errno.rawValue))"
    case .ioUringUnavailable(let reason):
      "io_uring cannot be used: \(reason)"
    case .numberTooLarge(let fd, let limit):
      "fd \(fd) is beyond the poller's table of \(limit) descriptors; "
        + "raise the limit of open descriptors before the poller is made"
    case .occupied(let fd, let state):
      "fd \(fd) is in the poller already (\(state)); insert a descriptor once, "
        + "and let the poller close it or disown it first"
    case .notRunning:
      "the poller is not running: start it first, and insert nothing after stop"
    case .invalidPlacement(let text):
      text
    case .stopTimedOut(let remaining):
      "the poller did not stop by its deadline; still there: "
        + remaining.joined(separator: "; ")
    case .forked:
      "this process was forked from the poller's; use exec in the child, or make a new poller there"
    }
  }
}

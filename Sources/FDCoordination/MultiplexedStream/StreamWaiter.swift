/// A task that waits for its turn. Guarded by the lock of its connection; only the resumption is
/// outside.
///
/// The outcome is read back under the lock, not handed over by the continuation.
final class StreamWaiter: @unchecked Sendable {
  /// What it waits for.
  enum Place {
    case sending(UInt32)
    case receiving(UInt32)
    case streamEnding(UInt32)
    case accepting
    case ending
  }

  enum Outcome {
    /// What was waited for has happened, or may have: look again.
    case look
    case cancelled
    case failed(MultiplexedError)
  }

  let place: Place
  private(set) var outcome: Outcome?
  private var continuation: UnsafeContinuation<Void, Never>?

  init(_ place: Place) { self.place = place }

  /// The task has come to rest.
  ///
  /// - Returns: whether it is to wait; if not, the caller resumes it.
  func suspend(_ continuation: UnsafeContinuation<Void, Never>) -> Bool {
    guard outcome == nil else { return false }
    self.continuation = continuation
    return true
  }

  /// The wait is over; only the first outcome counts.
  func settle(_ outcome: Outcome, _ effects: inout StreamEffects) {
    guard self.outcome == nil else { return }
    self.outcome = outcome
    if let continuation { effects.resumptions.append(continuation) }
    continuation = nil
  }
}

/// What the state wants to have done once the lock is free.
struct StreamEffects {
  var resumptions: [UnsafeContinuation<Void, Never>] = []
  /// There is something to write, and nobody has been asked to do it yet.
  var wantsFlush = false
  /// The peer has ended the connection, or what it sent has.
  var ending: Ending?
  /// The number of a probe that the peer has answered.
  var answer: UInt64?

  enum Ending {
    case inOrder
    case abruptly
  }
}

import FDNet
import FDPoller

/// A place for one incarnation at a time. Its lock orders who gets which incarnation, and nothing
/// of what they do with it.
final class ArenaSlot: Sendable {
  private let lock = PlatformLock()
  // Under the lock.
  private nonisolated(unsafe) var incarnation: Incarnation?
  private nonisolated(unsafe) var isBeingFilled = false

  /// What a visitor finds.
  enum Reception {
    /// It goes when it is done, with `leave`.
    case visit(Incarnation)
    /// It fills the slot.
    case vacant
    /// Somebody else does, or the incarnation has come to its end.
    case closed
  }

  func enter() -> Reception {
    lock.withLock {
      if let incarnation {
        if incarnation.isDeleted { return .closed }
        incarnation.visitors += 1
        return .visit(incarnation)
      }
      if isBeingFilled { return .closed }
      isBeingFilled = true
      return .vacant
    }
  }

  /// - Parameter next: nil if there is none to be had.
  func fill(_ next: Incarnation?) {
    lock.withLock {
      incarnation = next
      isBeingFilled = false
    }
  }

  /// - Returns: whether the incarnation has come to its end: nobody will see it again.
  func leave(_ left: Incarnation) -> Bool {
    lock.withLock {
      left.visitors -= 1
      guard left.visitors == 0 && left.isDeleted else { return false }
      incarnation = nil
      return true
    }
  }

  /// Takes out what is in it. When no thread is there any more.
  func clear() -> Incarnation? {
    lock.withLock {
      defer { incarnation = nil }
      return incarnation
    }
  }
}

import Synchronization

/// One round through all loops in which each forgets a descriptor; then something follows on its
/// home loop.
final class RemovalRound: @unchecked Sendable {
  private let handle: FDHandle
  private let core: PollerCore
  private let home: EventLoop
  private let remaining: Atomic<Int>
  private let then: @Sendable () -> Void

  /// The caller is alone with the slot.
  ///
  /// - Parameter then: runs on the home loop, or, if that has ended, where the last loop was asked.
  init(of handle: FDHandle, in core: PollerCore, then: @escaping @Sendable () -> Void) {
    self.handle = handle
    self.core = core
    self.then = then
    home = core.loops[Int(core.table[handle.fd].home.load(ordering: .relaxed))]
    remaining = Atomic(core.loops.count)
  }

  func begin() {
    for loop in core.loops {
      if loop.isCurrent {
        loop.backend.remove(handle)
        loopIsDone()
      } else if !loop.post(.remove(handle, self)) {
        loopIsDone()
      }
    }
  }

  func loopIsDone() {
    // Acquire and release: every loop's removal before what follows.
    guard remaining.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else {
      return
    }
    if home.isCurrent || !home.post(.call(then)) { then() }
  }
}

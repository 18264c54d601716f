import CShims
import FDPoller
import Glibc
import Synchronization

/// A place for one connection at a time: the poller has its near end, and here is its far end,
/// which stands for the peer. Callable from any thread.
///
/// Whoever takes the far end has it alone, until it is put back or closed.
final class Berth: Sendable {
  private static let none: Int32 = -2
  private static let taken: Int32 = -1

  private let isOccupied = Atomic<Bool>(false)
  private let far = Atomic<Int32>(Berth.none)
  private let connection = Atomic<UInt64>(0)
  private let near = Atomic<UInt64>(FDHandle.none.rawValue)
  private let shared = Atomic<Bool>(false)

  /// The handle of the near end, perhaps of one that is gone.
  var handle: FDHandle { FDHandle(rawValue: near.load(ordering: .acquiring)) }
  /// The number of the connection, perhaps of one that is gone. Exact for whoever has taken the far
  /// end.
  var id: UInt64 { connection.load(ordering: .acquiring) }
  /// Whether several loops own the near end.
  var isShared: Bool { shared.load(ordering: .acquiring) }
  var isVacant: Bool { !isOccupied.load(ordering: .acquiring) }
  var peerHasGone: Bool { far.load(ordering: .acquiring) == Self.none }

  /// Reserves the berth. The caller has the far end taken, and either opens or vacates.
  func occupy() -> Bool {
    guard !isOccupied.exchange(true, ordering: .acquiringAndReleasing) else { return false }
    far.store(Self.taken, ordering: .releasing)
    return true
  }

  /// A connection begins, by whoever has occupied the berth.
  func open(_ line: Line, near handle: FDHandle, far fd: Int32) {
    connection.store(line.id, ordering: .releasing)
    shared.store(line.isShared, ordering: .releasing)
    near.store(handle.rawValue, ordering: .releasing)
    far.store(fd, ordering: .releasing)
  }

  /// - Returns: the descriptor of the far end, or nil if it is closed or somebody else has it.
  func takeFar() -> Int32? {
    var found = far.load(ordering: .relaxed)
    while found >= 0 {
      let attempt = far.compareExchange(
        expected: found, desired: Self.taken, successOrdering: .acquiring,
        failureOrdering: .relaxed)
      if attempt.exchanged { return found }
      found = attempt.original
    }
    return nil
  }

  func putBack(_ fd: Int32) { far.store(fd, ordering: .releasing) }

  /// The peer hangs up: it has taken the far end.
  func hangUp(_ fd: Int32) {
    _ = fdp_close(fd)
    far.store(Self.none, ordering: .releasing)
  }

  /// The near end has departed, or never came to be: the far end goes too, and the berth is free.
  func vacate() {
    while true {
      if let fd = takeFar() {
        hangUp(fd)
        break
      }
      if peerHasGone { break }
      // Somebody has it for the length of a system call.
      sched_yield()
    }
    isOccupied.store(false, ordering: .releasing)
  }

  /// The connection never came to be: the caller has occupied the berth and closed both ends.
  func giveUp() {
    far.store(Self.none, ordering: .releasing)
    isOccupied.store(false, ordering: .releasing)
  }
}

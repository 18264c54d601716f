// swift-system's own C module has <sys/epoll.h> too; what the compiler meets first counts as its
// owner for the whole module, and this file is the first.
import CShims
import FDOwnership
import SystemPackage

/// What a loop asks of the kernel's poller: the loop itself knows no system call that waits.
///
/// A backend belongs to one loop and is used on its thread only. It alone knows what it has
/// registered with the kernel; nobody else keeps a record of that. It never reads the ownership
/// word: the loop does, and tells it.
protocol Backend: AnyObject {
  // Readiness

  /// Sets what is wanted of a descriptor that this loop owns. The kernel learns of it before the
  /// next wait; of several changes in one tick, the last.
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions)

  /// Registers the descriptor once more before the next wait, behind the other loops that share it.
  func renew(_ handle: FDHandle)

  /// What is wanted of the descriptor; empty if this loop has no registration for that incarnation.
  func interest(in handle: FDHandle) -> Interest

  /// Removes the registration of that incarnation, if there is one, from the kernel and from the
  /// record, at once: the descriptor stays open.
  func remove(_ handle: FDHandle)

  /// Drops the record of that incarnation: its descriptor is about to be closed, which removes the
  /// registration.
  func forget(_ handle: FDHandle)

  /// An event came for an incarnation that this loop does not own: removes what caused it.
  ///
  /// - Returns: whether the loop's kernel poller had to be made anew for that.
  func removeCause(of handle: FDHandle) -> Bool

  /// Waits for events.
  ///
  /// - Parameter timeoutNanoseconds: nil waits for ever, 0 not at all.
  /// - Returns: the number of events, to be read with `event(at:)` before the next wait.
  func wait(timeoutNanoseconds: UInt64?) -> Int
  func event(at index: Int) -> (handle: FDHandle, readiness: Readiness)

  /// Whether that is the event of the loop's own eventfd, which concerns nobody.
  static func isWakeUp(_ handle: FDHandle) -> Bool

  /// The descriptors that the kernel has refused to watch since the last call: nothing will be
  /// heard of them.
  func takeRefusals() -> [(handle: FDHandle, errno: Errno)]

  // Bytes

  /// A byte operation on the descriptor has found out that it is not ready in that direction: the
  /// kernel tells when it is.
  func noteWouldBlock(_ direction: Interest, of handle: FDHandle)

  /// Closes the number: what it leads to ends at once, unless others have it open too.
  ///
  /// - Parameter mayBeHeldElsewhere: another loop has watched this incarnation, and may not have
  ///   read yet that it is no longer its own.
  func close(_ fd: Int32, mayBeHeldElsewhere: Bool)

  /// Releases what the backend holds in the kernel. The loop has ended.
  func shutDown()
}

import CShims
import FDDelays
import FDNet
import FDOwnership
import FDPoller
import Glibc
import Synchronization

/// One incarnation of a descriptor in the arena, and what must hold of it.
///
/// It has an eventfd(2) that holds the incarnation's number, so that one who reads from a descriptor
/// that is somebody else's by now gets caught. A single owner takes the number out and puts it in
/// again; several owners only add to it.
final class Incarnation: @unchecked Sendable {
  let number: UInt64
  let isShared: Bool
  let custody: any ArenaCustody
  private let fd: Int32
  private let stage: Stage
  private let books: ArenaBooks

  // Plain, so that ThreadSanitizer sees any two threads that the protocol fails to keep apart or in
  // order. Of a shared incarnation nobody touches them.

  private var visits = 0
  private var owner: Int

  // The ledgers. They order nothing, so they hide no missing order either.

  private let inside = Atomic<Int>(0)
  private let closes = Atomic<Int>(0)
  private let deletion = Atomic<Bool>(false)
  private let hint: Atomic<Int>

  /// Held by whoever deletes a shared incarnation from outside, and wanted by some of its handlers.
  let listenerLock = PlatformLock()

  /// Under the lock of the slot.
  var visitors = 0

  init(
    _ number: UInt64, fd: Int32, owners: Range<Int>, custody: any ArenaCustody, _ stage: Stage,
    _ books: ArenaBooks
  ) {
    self.number = number
    self.fd = fd
    self.custody = custody
    self.stage = stage
    self.books = books
    isShared = owners.count > 1
    owner = owners.lowerBound
    hint = Atomic(owner)
    var content = number
    _ = fdp_write(fd, &content, 8)
    books.descriptors.open()
  }

  /// The owner, or the one before: good enough to guess by.
  var likelyOwner: Int { hint.load(ordering: .relaxed) }
  var isDeleted: Bool { deletion.load(ordering: .relaxed) }
  var isClosed: Bool { closes.load(ordering: .relaxed) != 0 }

  /// As a handle, for notes.
  var handle: UInt64 { FDHandle(fd: fd, generation: Generation(rawValue: number)).rawValue }

  /// - Returns: whether the caller may delete it: the first who asks.
  func condemn() -> Bool { !deletion.exchange(true, ordering: .relaxed) }

  func violate(_ ledger: String, _ thread: Int) {
    stage.violate(
      ledger,
      "incarnation \(number) (fd \(fd), \(isShared ? "several owners" : "one owner")), "
        + "by thread arena-\(thread); \(inside.load(ordering: .relaxed)) inside, "
        + "closed \(closes.load(ordering: .relaxed)) times; \(custody)")
  }

  // MARK: Inside

  /// The thread has come in by an event, and runs the handler.
  func handle(on thread: Int, _ body: () -> Void) {
    visit(thread) {
      if !isShared && owner != thread {
        violate("no handler runs on a thread that the descriptor was taken from", thread)
      }
      body()
    }
  }

  /// The thread has come in by a takeover.
  func adopt(by thread: Int, _ body: () -> Void) {
    visit(thread) {
      owner = thread
      hint.store(thread, ordering: .relaxed)
      body()
    }
  }

  private func visit(_ thread: Int, _ body: () -> Void) {
    let others = inside.wrappingAdd(1, ordering: .relaxed).oldValue
    let isTooLate = isClosed
    if isTooLate { violate("no handler runs after the close", thread) }
    if !isShared {
      if others != 0 { violate("one handler at a time", thread) }
      visits += 1
    }
    // After the close the number may be that of something outside the arena.
    if !isTooLate { useDescriptor(thread) }
    body()
    inside.wrappingSubtract(1, ordering: .relaxed)
  }

  private func useDescriptor(_ thread: Int) {
    if isShared {
      if fdp_eventfd_signal(fd) != 0 { violate("it is open while somebody is inside", thread) }
      return
    }
    var content: UInt64 = 0
    let length = fdp_read(fd, &content, 8)
    if length != 8 || content != number {
      violate("what it holds is its own (\(length == 8 ? "\(content)" : "nothing"))", thread)
    }
    content = number
    if fdp_write(fd, &content, 8) != 8 { violate("it is open while somebody is inside", thread) }
  }

  // MARK: The end

  /// The orphan deletion has fallen to the thread.
  func close(by thread: Int) {
    Chronicle.note("closes", handle)
    guard closes.wrappingAdd(1, ordering: .relaxed).oldValue == 0 else {
      // The number may be another's by now, so it is not closed again.
      return violate("one close for every incarnation", thread)
    }
    if inside.load(ordering: .relaxed) != 0 { violate("nobody is inside at the close", thread) }
    if !isDeleted { violate("only what was deleted is closed", thread) }
    if fdp_close(fd) != 0 { violate("close(2) succeeds", thread) }
    books.descriptors.close()
  }

  /// Nobody visits it any more, and nobody will.
  func auditAtTheEnd(_ thread: Int) {
    guard !isClosed else { return }
    violate("what was deleted is closed", thread)
    abolish()
  }

  /// After a violation nothing is left behind either.
  func abolish() { if !isClosed { _ = fdp_close(fd) } }
}

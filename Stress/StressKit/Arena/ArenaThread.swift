import FDDelays
import FDNet
import FDPoller
import Glibc
import SplitMask

/// One thread of the arena: it acts on incarnations, by their protocol.
final class ArenaThread: @unchecked Sendable {
  let number: Int
  let name: String
  private let stage: Stage
  private let operations: Tally
  private let takeovers: Tally
  private let events: Tally
  private let nestedEvents: Tally
  private let closesByDeleter: Tally
  private let closesByLastLeaver: Tally
  private var present: Incarnation?
  private var pauses = 0
  private var cpuBefore: UInt64 = 0
  private var wait = Patience()

  init(_ number: Int, _ stage: Stage) {
    self.number = number
    self.stage = stage
    name = "arena-\(number)"
    operations = stage.count("operations")
    events = stage.count("events")
    nestedEvents = stage.count("nested events")
    takeovers = stage.count("takeovers")
    closesByDeleter = stage.count("closes by deleter")
    closesByLastLeaver = stage.count("closes by last leaver")
  }

  /// Does a few things to an incarnation that the caller visits.
  func act(on incarnation: Incarnation, _ random: inout SplitMix) {
    present = incarnation
    let count = 1 + Int(random.next() % 4)
    operations.add(count)
    for _ in 0..<count { actOnce(on: incarnation, random.next()) }
    present = nil
  }

  private func actOnce(on incarnation: Incarnation, _ choice: UInt64) {
    pauses = 0
    switch choice % 32 {
    case 0..<2:
      guard incarnation.condemn() else { return }
      if incarnation.isShared {
        incarnation.listenerLock.withLock {
          Chronicle.note("holds the listener's lock", incarnation.handle)
          delete(incarnation)
        }
      } else {
        delete(incarnation)
      }
    case 2..<18 where !incarnation.isShared && incarnation.likelyOwner != number:
      takeOver(incarnation, choice)
    default: haveEvent(incarnation, choice)
    }
  }

  private func delete(_ incarnation: Incarnation) {
    Chronicle.note("deletes from outside", incarnation.handle)
    guard incarnation.custody.delete(as: number) else { return }
    closesByDeleter.add()
    incarnation.close(by: number)
  }

  private func haveEvent(_ incarnation: Incarnation, _ choice: UInt64) {
    Chronicle.note("has an event of", incarnation.handle)
    switch incarnation.custody.enter(as: number) {
    case .inside:
      events.add()
      incarnation.handle(on: number) {
        if incarnation.isShared && choice >> 20 & 15 == 0 { useListenerLock(incarnation) }
        work(incarnation, choice)
      }
      leave(incarnation)
    case .covered: incarnation.violate("only who is inside is told that it is", number)
    case .refused(let mustClose): if mustClose { closeAsLast(incarnation) }
    }
  }

  private func takeOver(_ incarnation: Incarnation, _ choice: UInt64) {
    Chronicle.note("wants to take over", incarnation.handle)
    switch incarnation.custody.takeOver(as: number) {
    case .inside:
      takeovers.add()
      incarnation.adopt(by: number) {
        if choice >> 20 & 7 == 0 { haveNestedEvent(incarnation) }
        work(incarnation, choice)
      }
      leave(incarnation)
    case .covered: incarnation.violate("only an event is covered", number)
    case .refused(let mustClose): if mustClose { closeAsLast(incarnation) }
    }
  }

  /// The thread has taken the incarnation over and is still inside.
  private func haveNestedEvent(_ incarnation: Incarnation) {
    Chronicle.note("has an event of what it is inside of", incarnation.handle)
    switch incarnation.custody.enter(as: number) {
    case .covered: nestedEvents.add()
    case .inside: leave(incarnation)
    case .refused(let mustClose): if mustClose { closeAsLast(incarnation) }
    }
  }

  /// The thread is inside. It may wait for one who deletes, who must not wait for it.
  private func useListenerLock(_ incarnation: Incarnation) {
    Chronicle.note("wants the listener's lock", incarnation.handle)
    while incarnation.listenerLock.withLockIfAvailable({}) == nil { pause() }
  }

  private func leave(_ incarnation: Incarnation) {
    Chronicle.note("leaves", incarnation.handle)
    if incarnation.custody.leave(as: number) { closeAsLast(incarnation) }
  }

  private func closeAsLast(_ incarnation: Incarnation) {
    closesByLastLeaver.add()
    incarnation.close(by: number)
  }

  /// Inside, so that others meet it there.
  private func work(_ incarnation: Incarnation, _ choice: UInt64) {
    switch choice >> 8 & 63 {
    case 0: usleep(50)
    case 1..<6: sched_yield()
    default: break
    }
    guard choice >> 16 & 15 == 0, incarnation.condemn() else { return }
    Chronicle.note("deletes from inside", incarnation.handle)
    incarnation.custody.deleteInside(as: number)
    // A handler may go on after that.
    switch choice >> 24 & 3 {
    case 0: usleep(50)
    case 1: sched_yield()
    default: break
    }
  }

  // MARK: Waiting for others

  private static let pausesPerYield = 64
  private static let pausesPerLook = 256
  /// Nobody waits longer than for a system call of another thread. A thread that is kept from its
  /// work by a busy machine has not spent it; but half the run's patience is the end of it.
  private static let longestWait: UInt64 = 500_000_000

  /// The thread waits for others, not for the first time perhaps. It does not return if it would
  /// wait for ever.
  func pause() {
    pauses += 1
    // Not every time: who yields always gets no time to count.
    if pauses % Self.pausesPerYield == 0 { sched_yield() }
    guard pauses % Self.pausesPerLook == 1 else { return }
    let now = Self.cpuTime
    if pauses == 1 { (cpuBefore, wait) = (now, Patience()) }
    wait.look()
    guard
      now - cpuBefore > Self.longestWait || wait.elapsed > stage.parameters.patience / 2,
      let present
    else { return }
    present.violate("nobody waits for ever", number)
    stage.strandThread(name)
  }

  private static var cpuTime: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}

import CShims
import FDDelays
import FDOwnership
import Glibc
import SplitMask

/// Threads without loops have events, take over and delete, on a few descriptors: the protocol of
/// custody alone, whichever it is, and a million times a second.
public final class Arena: StressScenario, Sendable {
  /// As on the command line.
  public static let name = "arena"
  /// What it does, in one line.
  public static let summary =
    "threads without loops enter, take over and delete a few descriptors as fast as they can"
  /// It takes any custody.
  public static let ofSplitMask: (any StressScenario.Type)? = Arena.self

  private let stage: Stage
  private let threads: [ArenaThread]
  private let slots: [ArenaSlot]
  private let books: ArenaBooks

  /// Prepares a run.
  ///
  /// - Throws: `StressError.unsuitable` if the protocol has no room for the threads.
  public init(_ stage: Stage) throws {
    let count = stage.parameters.threads
    guard count >= 2 else {
      throw StressError.unsuitable("it takes two threads at least to meet; give --threads")
    }
    guard stage.parameters.custody == .oneWord || count <= ThreadBit.threadsPerGroup else {
      throw StressError.unsuitable("the masks have room for 16 threads; give --threads 16 or less")
    }
    self.stage = stage
    threads = (0..<count).map { ArenaThread($0, stage) }
    // Few, so that the threads meet.
    slots = (0..<max(2, count / 3)).map { _ in ArenaSlot() }
    books = ArenaBooks(stage)
  }

  /// Starts the threads.
  public func begin() {
    for thread in threads {
      stage.startThread(thread.name) { [unowned self] random in step(thread, &random) }
    }
  }

  /// The threads have ended.
  public func calm() {}

  /// Every visit has looked at what it left behind.
  public func audit() {}

  /// Deletes what is left.
  public func end() {
    for incarnation in slots.compactMap({ $0.clear() }) {
      guard stage.violations.count == 0 else {
        incarnation.abolish()
        continue
      }
      if incarnation.condemn(), incarnation.custody.delete(as: 0) { incarnation.close(by: 0) }
      incarnation.auditAtTheEnd(0)
    }
  }

  private func step(_ thread: ArenaThread, _ random: inout SplitMix) {
    guard let slot = slots.randomElement(using: &random) else { return }
    switch slot.enter() {
    case .visit(let incarnation):
      thread.act(on: incarnation, &random)
      if slot.leave(incarnation) { incarnation.auditAtTheEnd(thread.number) }
    case .vacant: slot.fill(makeIncarnation(random.next()))
    case .closed: break
    }
    if random.next() % 16 == 0 { sched_yield() }
  }

  private func makeIncarnation(_ choice: UInt64) -> Incarnation? {
    let fd = fdp_eventfd()
    guard fd >= 0 else {
      stage.violate("descriptors are to be had", "eventfd(2) says \(-fd)")
      return nil
    }
    // Several owners are of one group.
    let owners =
      choice & 1 == 0
      ? 0..<min(threads.count, ThreadBit.threadsPerGroup)
      : Range(Int(choice >> 1) % threads.count...Int(choice >> 1) % threads.count)
    let threads = threads
    let custody: any ArenaCustody =
      switch stage.parameters.custody {
      case .oneWord: OneWordCustody(owners: owners)
      case .splitMask(let defect):
        SplitMaskArenaCustody(owners: owners, defect) { threads[$0].pause() }
      }
    let number = UInt64(books.incarnations.add()) + 1
    return Incarnation(number, fd: fd, owners: owners, custody: custody, stage, books)
  }
}

/// What the incarnations of one run are counted by.
final class ArenaBooks: Sendable {
  let incarnations: Tally
  let descriptors: Ledger

  init(_ stage: Stage) {
    incarnations = stage.count("incarnations")
    descriptors = stage.ledger("opened = closed")
  }
}

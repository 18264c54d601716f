import Interleave
import ProofKit
import SplitMask
import Testing

/// What is expected of the exploration of one defect.
struct Finding: Sendable, CustomTestStringConvertible {
  let defect: SplitMaskDefect
  let model: MemoryModel
  let message: String
  let preemptions: Int
  /// Some lines of the story, in this order.
  let story: [String]

  var testDescription: String { defect.rawValue }

  func scenario() -> ProofScenario { ProofScenario.scenario(for: defect).0 }

  func violation() throws -> Report.Violation {
    let (scenario, model) = ProofScenario.scenario(for: defect)
    #expect(model == self.model)
    let report = scenario.explore(Explorer.Options(model: model))
    return try #require(report.violation, "\(report)")
  }

  private init(
    _ defect: SplitMaskDefect, under model: MemoryModel = .sequentiallyConsistent,
    _ message: String, preemptions: Int = 1, _ story: [String]
  ) {
    self.defect = defect
    self.model = model
    self.message = message
    self.preemptions = preemptions
    self.story = story
  }

  static let all = [
    Finding(
      .doubleLast, "two threads run the orphan deletion",
      [
        "event 0 reads thread mask: thread 0 (sequentiallyConsistent)",
        "delete 1 changes running mask: thread 1 → none (sequentiallyConsistent)",
        "delete 1 runs the orphan deletion",
        "event 0 changes running mask: thread 0 → none (sequentiallyConsistent)",
        "event 0 runs the orphan deletion",
      ]),
    Finding(
      .takeoverInGap, "two owners: a handler runs on a thread that the descriptor was taken from",
      [
        "event 0 reads thread mask: thread 0 (sequentiallyConsistent)",
        "takeover 1 changes running mask: none → thread 1 (sequentiallyConsistent)",
        "takeover 1 changes thread mask: thread 0 → thread 1 (sequentiallyConsistent)",
        "takeover 1 changes running mask: thread 1 → none (sequentiallyConsistent)",
        "event 0 changes running mask: none → thread 0 (sequentiallyConsistent)",
        "event 0 is inside, and runs the handler",
      ]),
    Finding(
      .spinNoExit,
      "deadlock: event 0 waits for a change of running mask or thread mask; "
        + "event 1 waits for a change of running mask or thread mask",
      [
        "event 0 changes running mask: thread 2 → thread 0, thread 2 (sequentiallyConsistent)",
        "delete 2 stores thread mask: none (sequentiallyConsistent)",
        "event 0 reads thread mask: none (sequentiallyConsistent)",
        "event 1 reads thread mask: none (sequentiallyConsistent)",
      ]),
    Finding(
      .casForces, "two threads are inside the handler of one owner",
      [
        "event 0 changes running mask: none → thread 0 (sequentiallyConsistent)",
        "event 0 is inside, and runs the handler",
        "takeover 1 changes running mask: thread 0 → thread 1 (sequentiallyConsistent)",
        "takeover 1 is inside, and runs the handler",
      ]),
    Finding(
      .staleThreadMaskLeak, "a leak: it was deleted, and nobody has closed it",
      [
        "event 0 has run the handler, and leaves",
        "event 0 reads thread mask: thread 0, thread 1 (sequentiallyConsistent)",
        "delete 1 changes running mask: thread 0, thread 1 → thread 0 (sequentiallyConsistent)",
        "event 0 changes running mask: thread 0 → none (sequentiallyConsistent)",
        "at the end reads must close: yes (relaxed)",
      ]),
    Finding(
      .lastThenStall, "it is closed while somebody is inside", preemptions: 2,
      [
        "event 0 changes running mask: thread 0 → none (sequentiallyConsistent)",
        "delete-inside 1 is inside, and runs the handler",
        "delete-inside 1 stores must close: yes (sequentiallyConsistent)",
        "event 0 changes must close: yes → no (sequentiallyConsistent)",
        "event 0 runs the orphan deletion",
      ]),
    Finding(
      .storeBufferedDelete, under: .totalStoreOrder, "it is closed while somebody is inside",
      [
        "delete 1 buffers thread mask: none (releasing)",
        "delete 1 reads running mask: none (sequentiallyConsistent)",
        "event 0 is inside, and runs the handler",
        "delete 1 flushes thread mask: none",
        "delete 1 runs the orphan deletion",
      ]),
    Finding(
      .relaxedPair, under: .c11,
      "two owners: a handler runs on a thread that the descriptor was taken from",
      [
        "takeover 1 changes thread mask: thread 0 → thread 1 (sequentiallyConsistent)",
        "event 0 reads running mask: thread 0 (relaxed)",
        "event 0 reads thread mask: thread 0 (relaxed, an older store)",
        "event 0 is inside, and runs the handler",
      ]),
    Finding(
      .ownerGone, "it is closed while somebody is inside",
      [
        "event 0 is inside, and runs the handler",
        "delete 1 changes running mask: thread 0, thread 1 → thread 0 (sequentiallyConsistent)",
        "delete 1 changes must close: yes → no (sequentiallyConsistent)",
        "delete 1 runs the orphan deletion",
      ]),
    Finding(
      .closingTaken, "a handler runs after the close", preemptions: 0,
      [
        "delete 0 changes must close: yes → no (sequentiallyConsistent)",
        "takeover 1 reads thread mask: none (sequentiallyConsistent)",
        "takeover 1 changes thread mask: none → thread 1 (sequentiallyConsistent)",
        "takeover 1 is inside, and runs the handler",
      ]),
    Finding(
      .wakeUnprotected, "two threads are inside the handler of one owner",
      [
        "event 0 is inside, and runs the handler",
        "takeover 1 changes running mask: none → thread 1 (sequentiallyConsistent)",
        "takeover 1 is inside, and runs the handler",
      ]),
    Finding(
      .nestedEnter, "it is closed while somebody is inside",
      [
        "nest 0 is inside, and runs the handler",
        "nest 0 has an event",
        "nest 0 changes running mask: thread 0 → thread 0 (sequentiallyConsistent)",
        "nest 0 changes running mask: thread 0 → none (sequentiallyConsistent)",
        "delete 1 changes running mask: thread 1 → none (sequentiallyConsistent)",
        "delete 1 runs the orphan deletion",
      ]),
    Finding(
      .nonatomicState, "two threads are inside the handler of one owner", preemptions: 3,
      [
        "event 0 reads running mask: none (sequentiallyConsistent)",
        "takeover 1 changes running mask: none → thread 1 (sequentiallyConsistent)",
        "event 0 stores running mask: thread 0 (sequentiallyConsistent)",
        "event 0 is inside, and runs the handler",
        "takeover 1 changes thread mask: thread 0 → thread 1 (sequentiallyConsistent)",
        "takeover 1 is inside, and runs the handler",
      ]),
    Finding(
      .deleteWaits,
      "deadlock: lock-event 0 waits to lock the lock, held by lock-delete 1; "
        + "lock-delete 1 waits for a change of running mask or the lock",
      [
        "lock-event 0 is inside, and runs the handler",
        "lock-delete 1 locks the lock",
        "lock-delete 1 reads running mask: thread 0, thread 1 (sequentiallyConsistent)",
      ]),
  ]
}

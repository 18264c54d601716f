import FDAtomics
import FDDelays
import SplitMask

// Defects of the split-mask protocol. Where a step has a delay point, its place is the point's.

extension HuntCatalogue {
  static let splitMask: [Hunt] = SplitMaskDefect.allCases.map { defect in
    let (summary, point, place) = step(defect)
    var hunt = Hunt(
      defect.rawValue, summary, at: "\(point.name): \(point.place); \(place)",
      origin: .custody(.splitMask(defect)), scenario: TakeoverClose.name,
      // Who sleeps lets the others run; a spin is too short for them on few processors.
      delays: DelayPlan(at: points(defect, point), chance: 0.1, kinds: [.sleep]))
    hunt.threads = 6
    if defect == .storeBufferedDelete {
      // A store leaves its buffer before a thread can sleep: all that helps is to vary the beat.
      (hunt.delays.kinds, hunt.delays.iterations) = ([.spin], 50)
    }
    hunt.round = .seconds(5)
    #if arch(x86_64)
      if defect == .relaxedPair {
        hunt.doubt = "this processor keeps loads in order, so only a compiler could swap them"
      }
    #endif
    return hunt
  }

  /// What the defect does, the point at which another thread gets in between, and what is wrong.
  private static func step(_ defect: SplitMaskDefect) -> (String, DelayPoint, String) {
    switch defect {
    case .doubleLast:
      (
        "whoever is last and finds the thread mask empty closes, and two are last", .mark,
        "claim does not ask the must-close flag"
      )
    case .takeoverInGap:
      (
        "a whole takeover fits between the test of the thread mask and the running mark", .mark,
        "enter does not look at the thread mask again"
      )
    case .spinNoExit:
      (
        "two threads that are no owners any more wait for each other's marks for ever",
        .settleMarks, "settle does not give up"
      )
    case .casForces:
      (
        "a takeover that has lost tries again with what it has found, and seizes the descriptor",
        .takeThreads, "takeOver tries the running mask again"
      )
    case .staleThreadMaskLeak:
      (
        "the last one trusts the thread mask that it read before a delete: nobody closes",
        .unmark, "leave does not ask the must-close flag"
      )
    case .lastThenStall:
      (
        "the last one stalls before the claim, and closes while somebody else is inside",
        .afterUnmark, "leave does not know that the thread mask was empty before"
      )
    case .storeBufferedDelete:
      (
        "the empty thread mask is still in a store buffer while the deleter looks for marks",
        .emptyThreads, "delete stores it without a fence, and does not mark itself"
      )
    case .relaxedPair:
      (
        "the thread mask is read before the running mask, and a takeover comes in between",
        .settleThreads, "settle reads both relaxed"
      )
    case .ownerGone:
      (
        "a deleter closes at once, whoever is inside and uses what is closed", .emptyThreads,
        "delete claims without a look at the other marks in the running mask"
      )
    case .closingTaken:
      (
        "a takeover succeeds on what is deleted, and closed perhaps", .takeThreads,
        "takeOver does not mind that the thread mask is empty"
      )
    case .wakeUnprotected:
      (
        "the handler runs without a running mark, and a takeover finds nobody inside", .mark,
        "enter starts the handler without one"
      )
    case .nestedEnter:
      (
        "an event enters where its thread is inside by a takeover, and leaves for both", .mark,
        "enter does not see that the mark is there already"
      )
    case .nonatomicState:
      (
        "a thread finds nobody inside, and its store erases the mark of a takeover in between",
        .mark, "enter reads the running mask and stores to it in two steps"
      )
    case .deleteWaits:
      (
        "a deleter waits for somebody inside who waits for a lock of the deleter", .emptyThreads,
        "delete waits until there is no other mark in the running mask"
      )
    }
  }

  /// Where a delay makes it likely: at the point itself, as a rule.
  private static func points(_ defect: SplitMaskDefect, _ point: DelayPoint) -> Set<DelayPoint> {
    switch defect {
    case .storeBufferedDelete: [point, .mark]
    case .lastThenStall: [point, .emptyThreads]
    case .nestedEnter: [point, .afterUnmark]
    // Who tarries takes over after the close. A delete at the point itself shows later: the taker
    // tries to leave for ever.
    case .closingTaken: [.mark]
    default: [point]
    }
  }
}

import FDOwnership
import Interleave
import SplitMask

/// The published protocol, with or without a defect. It has no generations: a scenario has one
/// incarnation of the number, and one thread that ends it.
final class SplitMasks: Custody {
  static var isImmediate: Bool { false }

  private let masks: SplitMaskCustody<ModelWord>
  /// Counted in the set-up, which makes the one incarnation that threads see.
  private var incarnation: UInt64 = 0

  init(_ setup: Setup, _ defect: SplitMaskDefect?) {
    // The explorer runs every thread of a scenario on the one that explores.
    nonisolated(unsafe) let setup = setup
    masks = SplitMaskCustody(defect) { setup.spin() }
    setup.name(0, "running mask", describe: Self.list)
    setup.name(1, "thread mask", describe: Self.list)
    setup.name(2, "must close") { $0 == 0 ? "no" : "yes" }
  }

  /// `thread 0, thread 2`.
  private static func list(_ mask: UInt64) -> String {
    let threads = ThreadMask(rawValue: UInt16(truncatingIfNeeded: mask)).indices
    return threads.isEmpty ? "none" : threads.map { "thread \($0)" }.joined(separator: ", ")
  }

  func seal() -> Generation? { Generation(rawValue: incarnation) }

  func publish(group: Int, threads: ThreadMask) { masks.publish(threads) }

  func enter(_ generation: Generation, as me: ThreadBit) -> Admission {
    Admission(masks.enter(as: me.mask))
  }

  func leave(_ generation: Generation, as me: ThreadBit) -> Duty {
    masks.leave(as: me.mask) ? .close : .none
  }

  func takeOver(_ generation: Generation, as me: ThreadBit) -> Admission {
    Admission(masks.takeOver(as: me.mask))
  }

  func end(
    _ generation: Generation, disowning: Bool, isInside: Bool, as me: ThreadBit
  ) -> Deletion {
    if isInside {
      masks.deleteInside()
      return .deferred
    }
    return masks.delete(as: me.mask) ? .claimed(.close) : .deferred
  }

  func free() { incarnation += 1 }

  var isLive: Bool? {
    let state = masks.state
    guard state.running.isEmpty && !state.mustClose else { return nil }
    return !state.threads.isEmpty
  }
}

extension Role {
  /// What the published protocol has a verb for.
  var isOfSplitMask: Bool {
    switch self {
    case .event, .deleteInside, .takeover, .delete: true
    case .staleEvent, .farTakeover, .nest, .disown, .reuse, .insert: false
    }
  }
}

extension Admission {
  fileprivate init(_ admission: SplitMask.Admission) {
    switch admission {
    case .inside: self = .inside
    case .refused(let mustClose): self = .refused(mustClose ? .close : .none)
    }
  }
}

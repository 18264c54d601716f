import FDOwnership
import Interleave
import SplitMask

/// The published protocol, with or without a defect. One thread of a scenario ends the descriptor.
final class SplitMasks: Custody {
  static var isImmediate: Bool { false }

  private let masks: SplitMaskCustody<ModelWord>
  /// Beside the masks, where every verb but `leave` looks at it first. Only if the number may be
  /// used again: otherwise threads see one incarnation.
  private let generation: ModelWord?

  init(_ setup: Setup, _ defect: SplitMaskDefect?, hasGenerations: Bool) {
    // The explorer runs every thread of a scenario on the one that explores.
    nonisolated(unsafe) let setup = setup
    masks = SplitMaskCustody(defect) { _ in setup.spin() }
    generation = hasGenerations ? ModelWord(0, named: "generation") : nil
    setup.name(0, "running mask", describe: Self.list)
    setup.name(1, "thread mask", describe: Self.list)
    setup.name(2, "must close") { $0 == 0 ? "no" : "yes" }
  }

  /// `thread 0, thread 2`.
  private static func list(_ mask: UInt64) -> String {
    let threads = ThreadMask(rawValue: UInt16(truncatingIfNeeded: mask)).indices
    return threads.isEmpty ? "none" : threads.map { "thread \($0)" }.joined(separator: ", ")
  }

  private func isCurrent(_ generation: Generation) -> Bool {
    (self.generation?.loadAcquiring() ?? generation.rawValue) == generation.rawValue
  }

  func seal() -> Generation? { Generation(rawValue: generation?.loadAcquiring() ?? 0) }

  func publish(group: Int, threads: ThreadMask) { masks.publish(threads) }

  func enter(_ generation: Generation, as me: ThreadBit) -> Admission {
    isCurrent(generation) ? Admission(masks.enter(as: me.mask)) : .refused(.none)
  }

  func leave(_ generation: Generation, as me: ThreadBit) -> Duty {
    masks.leave(as: me.mask) ? .close : .none
  }

  func takeOver(_ generation: Generation, as me: ThreadBit) -> Admission {
    isCurrent(generation) ? Admission(masks.takeOver(as: me.mask)) : .refused(.none)
  }

  func end(
    _ generation: Generation, disowning: Bool, isInside: Bool, as me: ThreadBit
  ) -> Deletion {
    if isInside {
      masks.deleteInside()
      return .deferred
    }
    guard isCurrent(generation) else { return .alreadyGone }
    return masks.delete(as: me.mask) ? .claimed(.close) : .deferred
  }

  func free() { _ = generation?.fetchAdd(1, .acquiringAndReleasing) }

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
    case .event, .lockEvent, .staleEvent, .deleteInside, .takeover, .nest, .delete, .lockDelete,
      .reuse:
      true
    case .farTakeover, .alias, .disown, .insert: false
    }
  }
}

extension Admission {
  fileprivate init(_ admission: SplitMask.Admission) {
    switch admission {
    case .inside: self = .inside
    case .covered: self = .covered
    case .refused(let mustClose): self = .refused(mustClose ? .close : .none)
    }
  }
}

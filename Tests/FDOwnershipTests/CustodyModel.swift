import FDAtomics

@testable import FDOwnership

/// What can be done to the custody of one descriptor: by the ownership word, or by the model of it.
protocol Custody: AnyObject {
  /// The whole state: the 64 bits of the word.
  var word: UInt64 { get }
  func enter(_ generation: UInt64, as me: ThreadBit) -> Entry
  func leave(as me: ThreadBit) -> Duty
  func takeOver(_ generation: UInt64, as me: ThreadBit) -> Takeover
  func delete(_ generation: UInt64) -> Deletion
  func disown(_ generation: UInt64) -> Deletion
  func seal() -> UInt64?
  func publish(group: Int, threads: ThreadMask)
  func free()
}

/// One state of the word, in the terms of the transition table.
struct CustodyState: Hashable {
  /// All 44 bits.
  var generation: UInt64 = 0
  var group = 0
  var fate = Fate.live
  var running: ThreadMask = []
  var threads: ThreadMask = []

  var word: UInt64 {
    (generation & 0xFF_FFFF) << 40 | UInt64(group) << 34 | fate.rawValue << 32
      | UInt64(running.rawValue) << 16 | UInt64(threads.rawValue)
  }
}

/// The transition table of `Ownership`, written down a second time as plainly as possible: the specification.
final class CustodyModel: Custody {
  var state: CustodyState
  /// Runs where a delete or the last leave has changed the word and is about to claim.
  var beforeClaim: (() -> Void)?

  init(_ state: CustodyState) { self.state = state }

  var word: UInt64 { state.word }

  func enter(_ generation: UInt64, as me: ThreadBit) -> Entry {
    guard state.generation == generation else { return .stale }
    guard state.group == me.group, state.threads.contains(me.mask) else { return .lost }
    guard !state.running.contains(me.mask) else { return .inside }
    state.running.formUnion(me.mask)
    return .entered
  }

  func leave(as me: ThreadBit) -> Duty {
    state.running.subtract(me.mask)
    return claim()
  }

  func takeOver(_ generation: UInt64, as me: ThreadBit) -> Takeover {
    guard state.generation == generation, state.group != 0 else { return .stale }
    guard state.fate == .live else { return .closing }
    guard state.running.isEmpty else { return .busy }
    state.group = me.group
    state.threads = me.mask
    state.running = me.mask
    return .taken
  }

  func delete(_ generation: UInt64) -> Deletion { end(generation, .condemned) }
  func disown(_ generation: UInt64) -> Deletion { end(generation, .disowned) }

  private func end(_ generation: UInt64, _ fate: Fate) -> Deletion {
    guard state.generation == generation, state.group != 0, state.fate == .live else {
      return .alreadyGone
    }
    state.threads = []
    state.fate = fate
    let duty = claim()
    return duty == .none ? .deferred : .claimed(duty)
  }

  private func claim() -> Duty {
    let isDue = state.running.isEmpty && (state.fate == .condemned || state.fate == .disowned)
    guard isDue else { return .none }
    beforeClaim?()
    guard state.group != 0, state.running.isEmpty,
      state.fate == .condemned || state.fate == .disowned
    else { return .none }
    let duty = state.fate == .condemned ? Duty.close : .letGo
    state = CustodyState(generation: state.generation, fate: .sealed)
    return duty
  }

  func seal() -> UInt64? {
    guard state == CustodyState(generation: state.generation) else { return nil }
    state.fate = .sealed
    return state.generation
  }

  func publish(group: Int, threads: ThreadMask) {
    state = CustodyState(generation: state.generation, group: group, threads: threads)
  }

  func free() {
    state = CustodyState(generation: (state.generation + 1) % (1 << 44))
  }
}

/// The ownership word itself, put into any state.
final class RealCustody<Word: AtomicWord & ~Copyable>: Custody {
  let ownership = Ownership<Word>()

  init(_ state: CustodyState) {
    ownership.word.storeRelaxed(state.word)
    ownership.wholeGeneration.storeRelaxed(state.generation)
  }

  var word: UInt64 { ownership.state.rawValue }

  func enter(_ generation: UInt64, as me: ThreadBit) -> Entry {
    ownership.enter(Generation(rawValue: generation), as: me)
  }
  func leave(as me: ThreadBit) -> Duty { ownership.leave(as: me) }
  func takeOver(_ generation: UInt64, as me: ThreadBit) -> Takeover {
    ownership.takeOver(Generation(rawValue: generation), as: me)
  }
  func delete(_ generation: UInt64) -> Deletion {
    ownership.delete(Generation(rawValue: generation))
  }
  func disown(_ generation: UInt64) -> Deletion {
    ownership.disown(Generation(rawValue: generation))
  }
  func seal() -> UInt64? { ownership.seal()?.rawValue }
  func publish(group: Int, threads: ThreadMask) {
    ownership.publish(group: group, threads: threads)
  }
  func free() { ownership.free() }
}

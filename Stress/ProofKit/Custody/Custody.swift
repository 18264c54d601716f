import FDOwnership
import Interleave

/// A way to say who may touch a descriptor, whose every atomic step is explored: what production
/// does, or another one to compare it with.
protocol Custody: AnyObject {
  /// Free, never used before. Made in the set-up, before any word of the scenario.
  ///
  /// - Parameter setup: to name the words.
  init(_ setup: Setup)

  func seal() -> Generation?
  func publish(group: Int, threads: ThreadMask)
  /// Whether the thread is inside now.
  func enter(_ generation: Generation, as me: ThreadBit) -> Bool
  func leave(_ generation: Generation, as me: ThreadBit) -> Duty
  func takeOver(_ generation: Generation, as me: ThreadBit) -> Bool
  func end(_ generation: Generation, disowning: Bool, as me: ThreadBit) -> Deletion
  func free()

  /// Whether a live incarnation holds the slot, or none; nil in between. At rest.
  var isLive: Bool? { get }
}

/// The production source: one word.
final class OneWord: Custody {
  private let ownership = Ownership<ModelWord>()

  init(_ setup: Setup) {
    setup.name(0, "the word") { OwnershipState(rawValue: $0).description }
    setup.name(1, "the whole generation")
  }

  func seal() -> Generation? { ownership.seal() }

  func publish(group: Int, threads: ThreadMask) {
    ownership.publish(group: group, threads: threads)
  }

  func enter(_ generation: Generation, as me: ThreadBit) -> Bool {
    switch ownership.enter(generation, as: me) {
    case .entered: true
    case .inside, .lost, .stale: false
    }
  }

  func leave(_ generation: Generation, as me: ThreadBit) -> Duty { ownership.leave(as: me) }

  func takeOver(_ generation: Generation, as me: ThreadBit) -> Bool {
    ownership.takeOver(generation, as: me) == .taken
  }

  func end(_ generation: Generation, disowning: Bool, as me: ThreadBit) -> Deletion {
    disowning ? ownership.disown(generation) : ownership.delete(generation)
  }

  func free() { ownership.free() }

  var isLive: Bool? {
    let state = ownership.state
    if state.isFree { return false }
    return state.fate == .live && state.running.isEmpty ? true : nil
  }
}

import FDOwnership
import Interleave

/// A way to say who may touch a descriptor, whose every atomic step is explored: what production
/// does, or another one to compare it with.
///
/// One is made in the set-up, before any word of the scenario, and is free then.
protocol Custody: AnyObject {
  func seal() -> Generation?
  func publish(group: Int, threads: ThreadMask)
  func enter(_ generation: Generation, as me: ThreadBit) -> Admission
  func leave(_ generation: Generation, as me: ThreadBit) -> Duty
  func takeOver(_ generation: Generation, as me: ThreadBit) -> Admission
  /// - Parameter isInside: whether the caller is.
  func end(
    _ generation: Generation, disowning: Bool, isInside: Bool, as me: ThreadBit
  ) -> Deletion
  func free()

  /// Whether nobody is let in who asks after a delete has returned, under any memory model. Threads
  /// that know nothing of each other may disagree about the order of what happens to two words.
  static var isImmediate: Bool { get }

  /// Whether a live incarnation holds the slot, or none; nil in between. At rest.
  var isLive: Bool? { get }
}

/// What a custody answers to a thread that wants to be inside.
enum Admission: Equatable {
  case inside
  /// It was before: what it does is covered by its outer scope, and it does not leave.
  case covered
  /// It is not, and may have to close all the same.
  case refused(Duty)

  /// Different for different answers.
  var number: UInt64 {
    switch self {
    case .inside: 1
    case .covered: 3
    case .refused(let duty): duty.number << 1
    }
  }
}

extension Duty {
  /// Different for different duties.
  var number: UInt64 {
    switch self {
    case .none: 0
    case .close: 1
    case .letGo: 2
    }
  }
}

extension Deletion {
  /// Different for different outcomes.
  var number: UInt64 {
    switch self {
    case .alreadyGone: 0
    case .deferred: 1
    case .claimed(let duty): 2 + duty.number
    }
  }
}

/// The production source: one word.
final class OneWord: Custody {
  static var isImmediate: Bool { true }

  private let ownership = Ownership<ModelWord>()

  init(_ setup: Setup) {
    setup.name(0, "the word") { OwnershipState(rawValue: $0).description }
    setup.name(1, "the whole generation")
  }

  func seal() -> Generation? { ownership.seal() }

  func publish(group: Int, threads: ThreadMask) {
    ownership.publish(group: group, threads: threads)
  }

  func enter(_ generation: Generation, as me: ThreadBit) -> Admission {
    switch ownership.enter(generation, as: me) {
    case .entered: .inside
    case .inside: .covered
    case .lost, .stale: .refused(.none)
    }
  }

  func leave(_ generation: Generation, as me: ThreadBit) -> Duty { ownership.leave(as: me) }

  func takeOver(_ generation: Generation, as me: ThreadBit) -> Admission {
    ownership.takeOver(generation, as: me) == .taken ? .inside : .refused(.none)
  }

  func end(
    _ generation: Generation, disowning: Bool, isInside: Bool, as me: ThreadBit
  ) -> Deletion {
    disowning ? ownership.disown(generation) : ownership.delete(generation)
  }

  func free() { ownership.free() }

  var isLive: Bool? {
    let state = ownership.state
    if state.isFree { return false }
    return state.fate == .live && state.running.isEmpty ? true : nil
  }
}

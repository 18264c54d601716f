import FDAtomics
import Synchronization
import TestKit

@testable import FDOwnership

/// One descriptor number: the ownership word, the data that it guards, and a ledger.
///
/// The guarded data are plain variables, so ThreadSanitizer sees a race on them if the word fails to order two
/// threads. The ledger is made of relaxed atomics, which order nothing and so hide nothing.
final class RaceLane: @unchecked Sendable {
  let ownership = Ownership<HardwareWord>()

  // Guarded: written while sealed or inside.

  /// The generation plus one while there is a handler, else 0.
  private var handler: UInt64 = 0
  private var isShared = false
  /// Changed by whoever is inside, if that can be one thread only.
  private var visits = 0
  /// Changed by each thread inside for itself.
  private let visitsByThread: UnsafeMutablePointer<Int>
  /// Written by the deleter before it deletes, where there is only one.
  private var deletersNote: UInt64 = 0
  private let expectsDeletersNote: Bool

  // The ledger.

  private let inside = Atomic<Int>(0)
  /// One above the generation that departed last.
  private let departed = Atomic<UInt64>(0)
  let publishes = Atomic<Int>(0)
  let closes = Atomic<Int>(0)
  let letGos = Atomic<Int>(0)
  /// What the kernel would know: whether the number is free, so that the next open gets it.
  private let numberIsFree = Atomic<Bool>(true)
  private let violation = Atomic<Int>(0)

  /// What must not happen.
  enum Violation: Int, CaseIterable {
    case none
    case twoInside
    case insideWithoutHandler
    case insideAnotherIncarnation
    case insideInAnotherGroup
    case insideAfterDeparture
    case departedWithSomebodyInside
    case departedTwice
    case departedWithoutDeletersNote
    case numberFreeButSlotOccupied
  }

  static let maximumThreads = 16

  /// - Parameter hasOneDeleter: nobody else deletes or disowns at the same time.
  init(hasOneDeleter: Bool) {
    expectsDeletersNote = hasOneDeleter
    visitsByThread = .allocate(capacity: Self.maximumThreads)
    visitsByThread.initialize(repeating: 0, count: Self.maximumThreads)
  }

  deinit { visitsByThread.deallocate() }

  private func report(_ kind: Violation) {
    _ = violation.compareExchange(expected: 0, desired: kind.rawValue, ordering: .relaxed)
  }

  /// The first thing that went wrong.
  var firstViolation: Violation {
    Violation(rawValue: violation.load(ordering: .relaxed)) ?? .none
  }
}

// MARK: - Insert

extension RaceLane {
  /// Takes the number in, if the kernel would hand it out now.
  func insertIfFree(group: Int, threads: ThreadMask, isShared: Bool, _ racer: inout Racer) -> Bool {
    let isMine = numberIsFree.compareExchange(
      expected: true, desired: false, ordering: .relaxed
    ).exchanged
    guard isMine else { return false }
    if !insert(group: group, threads: threads, isShared: isShared, &racer) {
      report(.numberFreeButSlotOccupied)
    }
    return true
  }

  /// Takes the number in, whether the kernel would have handed it out or not.
  func insert(group: Int, threads: ThreadMask, isShared: Bool, _ racer: inout Racer) -> Bool {
    guard let generation = ownership.seal() else {
      racer.tally.note(.occupied)
      return false
    }
    racer.dawdle()
    if handler != 0 { report(.numberFreeButSlotOccupied) }
    handler = generation.rawValue + 1
    self.isShared = isShared
    visits = 0
    for thread in 0..<Self.maximumThreads { visitsByThread[thread] = 0 }
    numberIsFree.store(false, ordering: .relaxed)
    publishes.wrappingAdd(1, ordering: .relaxed)
    ownership.publish(group: group, threads: threads)
    racer.tally.note(.inserted)
    return true
  }
}

// MARK: - Enter, take over, leave

extension RaceLane {
  /// An event for that incarnation.
  func event(_ generation: Generation, deleting: Bool = false, _ racer: inout Racer) {
    let entry = ownership.enter(generation, as: racer.bit)
    racer.tally.note(Meeting(entry))
    guard entry == .entered else { return }
    visit(generation, &racer)
    if deleting { delete(generation, &racer) }
    leave(generation, &racer)
  }

  func takeOver(_ generation: Generation, nesting: Bool = false, _ racer: inout Racer) {
    let takeover = ownership.takeOver(generation, as: racer.bit)
    racer.tally.note(Meeting(takeover))
    guard takeover == .taken else { return }
    visit(generation, &racer)
    if nesting {
      // The thread's own event for what it holds; a delete from elsewhere may have cleared its bit.
      let nested = ownership.enter(generation, as: racer.bit)
      racer.tally.note(Meeting(nested: nested))
      if nested == .entered { report(.twoInside) }
      visit(generation, &racer)
    }
    leave(generation, &racer)
  }

  private func leave(_ generation: Generation, _ racer: inout Racer) {
    let duty = ownership.leave(as: racer.bit)
    if duty != .none { racer.tally.note(.claimedByLeaver) }
    depart(generation, duty, &racer)
  }

  /// The handler: between enter or takeover and leave.
  private func visit(_ generation: Generation, _ racer: inout Racer) {
    let others = inside.wrappingAdd(1, ordering: .relaxed).oldValue
    let found = handler
    if found == 0 { report(.insideWithoutHandler) }
    if ownership.state.group != racer.bit.group { report(.insideInAnotherGroup) }
    if found != generation.rawValue + 1 { report(.insideAnotherIncarnation) }
    if !isShared {
      if others != 0 { report(.twoInside) }
      visits += 1
    }
    visitsByThread[racer.number] += 1
    racer.dawdle()
    if departed.load(ordering: .relaxed) > generation.rawValue { report(.insideAfterDeparture) }
    if handler != found { report(.insideAfterDeparture) }
    inside.wrappingSubtract(1, ordering: .relaxed)
  }
}

// MARK: - Delete, disown, depart

extension RaceLane {
  func delete(_ generation: Generation, _ racer: inout Racer) {
    if expectsDeletersNote { deletersNote = generation.rawValue + 1 }
    end(ownership.delete(generation), generation, &racer)
  }

  func disown(_ generation: Generation, _ racer: inout Racer) {
    if expectsDeletersNote { deletersNote = generation.rawValue + 1 }
    end(ownership.disown(generation), generation, &racer)
  }

  private func end(_ deletion: Deletion, _ generation: Generation, _ racer: inout Racer) {
    switch deletion {
    case .claimed(let duty):
      racer.tally.note(.claimedByDeleter)
      depart(generation, duty, &racer)
    case .deferred: racer.tally.note(.deferred)
    case .alreadyGone: racer.tally.note(.alreadyGone)
    }
  }

  /// The orphan deletion, of whoever claimed it.
  private func depart(_ generation: Generation, _ duty: Duty, _ racer: inout Racer) {
    guard duty != .none else { return }
    if inside.load(ordering: .relaxed) != 0 { report(.departedWithSomebodyInside) }
    if handler != generation.rawValue + 1 { report(.departedTwice) }
    var sum = 0
    for thread in 0..<Self.maximumThreads { sum += visitsByThread[thread] }
    if !isShared && sum != visits { report(.twoInside) }
    if expectsDeletersNote && deletersNote != generation.rawValue + 1 {
      report(.departedWithoutDeletersNote)
    }
    handler = 0
    departed.store(generation.rawValue + 1, ordering: .relaxed)
    racer.dawdle()
    if duty == .close {
      closes.wrappingAdd(1, ordering: .relaxed)
    } else {
      letGos.wrappingAdd(1, ordering: .relaxed)
    }
    ownership.free()
    // As close(2), last. Whoever is given a disowned one closes it at once.
    numberIsFree.store(true, ordering: .relaxed)
  }
}

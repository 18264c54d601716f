public import FDAtomics

// Who may touch a descriptor.
//
// The whole custody of a descriptor is one atomic word (`OwnershipState` has its bits). A thread
// works on the descriptor only between a successful `enter` or `takeOver` and its `leave`;
// everything else is a change of the word.
//
//              seal               publish
//      free ──────────▶ sealed ──────────────▶ live ◀─────┐
//       ▲                                      │  │       │ enter, leave, takeOver
//       │ free                                 │  └───────┘ (the masks and the group change)
//       │                    delete, disown    │
//       │           claim                      ▼
//      sealed ◀──────────────────── condemned or disowned
//                                   nobody enters any more; those inside leave
//
// | transition      | needs                           | makes                       | else        |
// |-----------------|---------------------------------|-----------------------------|-------------|
// | insert: seal    | free                            | sealed                      | occupied    |
// | insert: publish | sealed by the caller            | {group, live, threads}      |             |
// | enter           | generation, my group, me in     | running += me               | stale, lost,|
// |                 | threads, me not in running      |                             | inside      |
// | leave           | me in running                   | running -= me; then claim,  |             |
// |                 |                                 | if nobody is left inside    |             |
// | takeOver        | generation, group not 0, live,  | {my group, live, threads =  | stale, busy,|
// |                 | running none                    | me, running = me}           | closing     |
// | delete, disown  | generation, group not 0, live   | threads = none, the fate;   | already gone|
// |                 |                                 | then claim                  |             |
// | claim           | generation, group not 0,        | sealed                      | not due     |
// |                 | condemned or disowned, running  |                             |             |
// |                 | none                            |                             |             |
// | free            | sealed by the caller            | free, generation + 1        |             |
//
// Why exactly one thread runs the orphan deletion: "nobody is inside" and "it must close" become
// true together in one change, of the thread that deletes while nobody is inside or of the last one
// to leave after a delete. That thread sees both in the value that its own change has left, and
// claims; one that sees either fact apart from the other decides nothing. `claim` tests both once
// more in the compare-and-swap that ends them. Why somebody does: after a delete nobody can enter
// (no thread is in the mask) or take over (not live), so the running mask only shrinks. Why nobody
// works on a descriptor that is closed: sealed and free have group 0, which no thread is in, and the
// next incarnation has another generation.
//
// Happens-before. Every edge runs through this one word, and every change of it between a release
// and the matching acquire is a read-modify-write, so release sequences are never cut:
//
// | edge | release        | acquire         | orders                                             |
// |------|----------------|-----------------|----------------------------------------------------|
// | E1   | publish        | enter, takeOver | the handler and fields written while sealed        |
// | E2   | leave          | takeOver, enter | the last owner's work before the next one's        |
// | E3   | leave          | claim           | all work inside before the orphan deletion         |
// | E4   | delete, disown | claim           | what the deleter wrote before the orphan deletion  |
// | E5   | free           | seal            | the cleared fields before the next incarnation's   |
//
// The full generation beside the word is written only while sealed, before E5; a reader that holds
// a handle got it from somebody after that, so it reads at least its own generation, never an older
// one.

/// The custody of one descriptor: who may run its handler, who is inside, and who closes it.
///
/// Every method may be called from any thread, except where it says that the caller is inside or
/// alone.
@frozen
public struct Ownership<Word: AtomicWord & ~Copyable>: ~Copyable {
  @usableFromInline let word: Word
  /// All the bits of the generation, of which the word has the low 24.
  @usableFromInline let wholeGeneration: Word

  /// Free, never used before.
  @inlinable
  public init() {
    word = Word(0)
    wholeGeneration = Word(0)
  }

  /// What the word says, for reports; it may have changed by the time it is looked at.
  @inlinable
  public var state: OwnershipState { OwnershipState(rawValue: word.loadRelaxed()) }

  /// The incarnation that the slot holds, or will hold next if it is free.
  @inlinable
  public var generation: Generation { Generation(rawValue: wholeGeneration.loadRelaxed()) }
}

// MARK: - Insert

extension Ownership where Word: ~Copyable {
  /// Seals a free slot, so that the caller is alone with it and may write its fields.
  ///
  /// - Returns: the new incarnation, or nil if the slot is occupied.
  @inlinable
  public borrowing func seal() -> Generation? {
    let found = word.loadRelaxed()
    guard OwnershipState(rawValue: found).isFree else { return nil }
    let sealed = found | Fate.sealed.rawValue << OwnershipState.fateShift
    Word.delay(at: .seal, found)
    // Acquire: E5.
    guard word.compareExchangeAcquiring(expected: found, desired: sealed).exchanged else {
      return nil
    }
    return generation
  }

  /// Ends the caller's solitude: from here on the given threads may enter.
  ///
  /// The caller is alone with the slot since its `seal()`.
  ///
  /// - Parameters:
  ///   - group: of which the masks speak, 1 to 63.
  ///   - threads: at least one.
  @inlinable
  public borrowing func publish(group: Int, threads: ThreadMask) {
    precondition(1...ThreadBit.maximumGroups ~= group && !threads.isEmpty)
    assert(state.isSealed, "publish ends a seal")
    let published =
      generation.wordField | UInt64(group) << OwnershipState.groupShift | UInt64(threads.rawValue)
    Word.delay(at: .publish, published)
    // Release: E1.
    word.storeReleasing(published)
  }
}

// MARK: - Enter and leave

/// What `enter` says, and so what to do with the event.
@frozen
public enum Entry: Sendable {
  /// Run the handler, then leave.
  case entered
  /// This thread is inside already: its outer scope covers the event.
  case inside
  /// Another thread owns the descriptor now: this thread's kernel poller should forget it.
  case lost
  /// Another incarnation holds the number, or none.
  case stale
}

/// What `leave` and the deleting calls leave to the caller.
@frozen
public enum Duty: Sendable, Equatable {
  case none
  /// The caller is alone with the slot and runs the orphan deletion: close the descriptor.
  case close
  /// The caller is alone with the slot and runs the orphan deletion: let go of the descriptor,
  /// open.
  case letGo
}

extension Ownership where Word: ~Copyable {
  /// Begins work on the descriptor on behalf of one of its threads.
  ///
  /// - Parameters:
  ///   - generation: the incarnation that the event speaks of.
  ///   - me: the calling thread.
  @inlinable @inline(__always)
  public borrowing func enter(_ generation: Generation, as me: ThreadBit) -> Entry {
    guard self.generation == generation else { return .stale }
    let mine = generation.wordField | me.groupField
    var found = word.loadRelaxed()
    while true {
      let difference = found ^ mine
      guard difference & OwnershipState.generationField == 0 else { return .stale }
      guard difference & OwnershipState.groupField == 0, found & me.threadField != 0 else {
        return .lost
      }
      guard found & me.runningField == 0 else { return .inside }
      Word.delay(at: .enter, found)
      // Acquire: E1, E2.
      let attempt = word.weakCompareExchangeAcquiring(
        expected: found, desired: found | me.runningField)
      if attempt.exchanged {
        Word.delay(at: .afterEnter, found | me.runningField)
        return .entered
      }
      found = attempt.original
    }
  }

  /// Ends work on the descriptor. The caller is inside.
  ///
  /// - Parameter me: the calling thread.
  /// - Returns: what falls to the caller because it was the last one inside.
  @inlinable @inline(__always)
  public borrowing func leave(as me: ThreadBit) -> Duty {
    assert(state.running.contains(me.mask), "only a thread that is inside can leave")
    Word.delay(at: .leave, me.threadField)
    // A subtraction clears the bit, which is set, in one instruction that returns the result; an
    // `and` would be a loop on x86-64. Release: E2, E3.
    let left = word.subtractReleasing(me.runningField)
    let lastAndDue =
      left & OwnershipState.runningField == 0 && left & OwnershipState.fateField != 0
    guard lastAndDue else { return .none }
    Word.delay(at: .afterLeave, left)
    return claim(left)
  }
}

// MARK: - Take over

/// What `takeOver` says.
@frozen
public enum Takeover: Sendable, Equatable {
  /// The caller owns the descriptor alone and is inside; it has to leave.
  case taken
  /// Another incarnation holds the number, or none.
  case stale
  /// Somebody is inside.
  case busy
  /// It is condemned or disowned.
  case closing
}

extension Ownership where Word: ~Copyable {
  /// Makes the descriptor the given thread's alone, with that thread inside.
  ///
  /// It changes nothing when it fails. The caller must know that the present owner does nothing
  /// with the descriptor outside its handler: the word does not see that.
  ///
  /// - Parameters:
  ///   - generation: the incarnation that is meant.
  ///   - me: the new owner, usually the calling thread.
  @inlinable @inline(__always)
  public borrowing func takeOver(_ generation: Generation, as me: ThreadBit) -> Takeover {
    guard self.generation == generation else { return .stale }
    let mine = generation.wordField | me.groupField | me.runningField | me.threadField
    var found = word.loadRelaxed()
    while true {
      guard (found ^ mine) & OwnershipState.generationField == 0,
        found & OwnershipState.groupField != 0
      else { return .stale }
      guard found & OwnershipState.fateField == 0 else { return .closing }
      guard found & OwnershipState.runningField == 0 else { return .busy }
      Word.delay(at: .takeOver, found)
      // Acquire: E1, E2.
      let attempt = word.weakCompareExchangeAcquiring(expected: found, desired: mine)
      if attempt.exchanged {
        Word.delay(at: .afterTakeOver, mine)
        return .taken
      }
      found = attempt.original
    }
  }
}

// MARK: - Delete, disown, and the claim

/// What a delete or disown says.
@frozen
public enum Deletion: Sendable, Equatable {
  /// It is condemned, and the orphan deletion falls to the caller.
  case claimed(Duty)
  /// It is condemned; whoever leaves last runs the orphan deletion.
  case deferred
  /// Somebody else deleted it before, or it is another incarnation: nothing was changed.
  case alreadyGone
}

extension Ownership where Word: ~Copyable {
  /// Condemns the descriptor: nobody enters it any more, and whoever is or leaves last closes it.
  @inlinable
  public borrowing func delete(_ generation: Generation) -> Deletion {
    end(generation, as: .condemned)
  }

  /// As `delete(_:)`, but the descriptor leaves the poller open.
  @inlinable
  public borrowing func disown(_ generation: Generation) -> Deletion {
    end(generation, as: .disowned)
  }

  @inlinable @inline(__always)
  borrowing func end(_ generation: Generation, as fate: Fate) -> Deletion {
    guard self.generation == generation else { return .alreadyGone }
    var found = word.loadRelaxed()
    while true {
      guard (found ^ generation.wordField) & OwnershipState.generationField == 0,
        found & OwnershipState.groupField != 0, found & OwnershipState.fateField == 0
      else { return .alreadyGone }
      let ended =
        found & ~OwnershipState.threadField | fate.rawValue << OwnershipState.fateShift
      Word.delay(at: .delete, found)
      // Release: E4.
      let attempt = word.weakCompareExchangeReleasing(expected: found, desired: ended)
      if attempt.exchanged {
        Word.delay(at: .afterDelete, ended)
        let duty = claim(ended)
        return duty == .none ? .deferred : .claimed(duty)
      }
      found = attempt.original
    }
  }

  /// Takes the orphan deletion, if it is due: nobody inside and it must close, in one step.
  ///
  /// - Parameter seen: the value that the caller's own change left; its generation is the one that
  ///   is meant.
  @inlinable @inline(__always)
  borrowing func claim(_ seen: UInt64) -> Duty {
    var found = seen
    while true {
      guard (found ^ seen) & OwnershipState.generationField == 0,
        found & OwnershipState.groupField != 0, found & OwnershipState.fateField != 0,
        found & OwnershipState.runningField == 0
      else { return .none }
      let sealed =
        found & OwnershipState.generationField | Fate.sealed.rawValue << OwnershipState.fateShift
      Word.delay(at: .claim, found)
      // Acquire: E3, E4.
      let attempt = word.weakCompareExchangeAcquiring(expected: found, desired: sealed)
      if attempt.exchanged {
        Word.delay(at: .afterClaim, found)
        return OwnershipState(rawValue: found).fate == .condemned ? .close : .letGo
      }
      found = attempt.original
    }
  }

  /// Ends the orphan deletion: the slot is free for the next incarnation of the number.
  ///
  /// The caller is alone with the slot and has cleared its fields. It closes the descriptor after
  /// this, since that is what lets the kernel hand the number out again.
  @inlinable
  public borrowing func free() {
    assert(state.isSealed, "free ends a seal")
    let next = Generation(rawValue: wholeGeneration.loadRelaxed()).next
    wholeGeneration.storeRelaxed(next.rawValue)
    Word.delay(at: .free, next.wordField)
    // Release: E5.
    word.storeReleasing(next.wordField)
  }
}

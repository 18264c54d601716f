public import FDAtomics
public import FDOwnership

// Who may touch a descriptor, in three words.
//
// The published protocol, in which the running mask (R), the thread mask (T) and the must-close
// flag (MC) are three atomics. Nothing runs on it: it is what the tools are tried on, and what the
// one word of `Ownership` is compared with.
//
// | verb       | steps, each atomic by itself                                                 |
// |------------|------------------------------------------------------------------------------|
// | publish    | T = the owners                                                               |
// | enter      | 1. me in T? else lost                                                        |
// |            | 2. R += me; was I there before? then covered by the outer scope              |
// |            | 3. settle: read R, then T, until all others in R are in T or I am not in T   |
// |            | 4. me in T? then inside, else leave                                          |
// | take over  | 1. R: none -> me, else busy                                                  |
// |            | 2. T: the owners -> me, else (it is none: deleted) leave                     |
// | delete     | 1. R += me, unless I am inside                                               |
// |            | 2. MC = 1                                                                    |
// |            | 3. T = none                                                                  |
// |            | 4. leave, unless I was inside                                                |
// | leave      | 1. read T                                                                    |
// |            | 2. R -= me; somebody is left? then it is their duty                          |
// |            | 3. T was none? then claim                                                    |
// |            | 4. MC = 0? then nothing is due                                               |
// |            | 5. R += me, and again from 1                                                 |
// | claim      | MC: 1 -> 0; who succeeds closes                                              |
//
// Why it takes so many steps. A mark in R is set before it is known to be rightful, so others meet
// marks that mean nothing; settling tells them apart. Steps 1 and 2 of a takeover are apart too,
// and between them its mark stands in R but not in T: settling waits for that. R has to be read
// before T: who does not find the mark of a takeover any more must see what it did to T.
//
// Why leaving is hard. Nobody may close while somebody is inside, so the claim needs "T is none"
// and "R is none" together. T stays none once it is, and who marks itself after that withdraws.
// So it is enough that T was none before the step that empties R, in this order. But the thread
// that empties R may have read T too early, and nobody else comes: STALE_T_LEAK. To look at MC or T
// after the step is too late, since somebody may have entered since: LAST_THEN_STALL. What is left
// is step 5, to go in again and leave properly. As published, leaving stops at step 3.
//
// That cures all the defects, for one incarnation of a number, and takeovers of descriptors with
// one owner. The explorer proves it, and shows what no order of these steps cures:
//
// - Between any two of them the descriptor may be closed and its number used again. Who has passed
//   the first test of T then finds itself inside the next incarnation, and step 5 of leaving marks
//   the next one. A generation beside the masks does not prevent that; it has to be in the same
//   word.
// - A shared descriptor cannot be taken over by one of its owners: between its two steps the mark
//   of the taker looks like that of an owner, and others enter.

/// What somebody is told who asks to be let in.
@frozen
public enum Admission: Sendable, Equatable {
  /// Inside, until it leaves.
  case inside
  /// It was inside before: what it does is covered by its outer scope, and it does not leave.
  case covered
  /// Not inside.
  ///
  /// - Parameter mustClose: whether the orphan deletion falls to the caller all the same: it had
  ///   marked itself for a moment, and others took that for somebody inside.
  case refused(mustClose: Bool)
}

/// The custody of one descriptor in three words, with at most one of its historical defects.
///
/// Every method may be called from any thread. A thread is the set of it alone; of the same
/// descriptor only one thread deletes, once.
@frozen
public struct SplitMaskCustody<Word: MaskWord & ~Copyable>: ~Copyable, Sendable {
  @usableFromInline let running: Word
  @usableFromInline let threads: Word
  @usableFromInline let mustClose: Word
  @usableFromInline let defect: SplitMaskDefect?
  @usableFromInline let pause: @Sendable (ThreadMask) -> Void

  /// Free: nobody owns it. The words are made in this order: running mask, thread mask, must-close
  /// flag.
  ///
  /// - Parameters:
  ///   - defect: nil for the protocol with all of them cured.
  ///   - pause: called wherever a thread waits for another one to change a word, with the thread.
  @inlinable
  public init(_ defect: SplitMaskDefect?, pause: @escaping @Sendable (ThreadMask) -> Void) {
    running = Word(0)
    threads = Word(0)
    mustClose = Word(0)
    self.defect = defect
    self.pause = pause
  }

  /// The three words, for reports; each may have changed by the time it is looked at.
  @inlinable
  public var state: (running: ThreadMask, threads: ThreadMask, mustClose: Bool) {
    (
      ThreadMask(rawValue: UInt16(truncatingIfNeeded: running.loadRelaxed())),
      ThreadMask(rawValue: UInt16(truncatingIfNeeded: threads.loadRelaxed())),
      mustClose.loadRelaxed() != 0
    )
  }

  /// Ends the set-up: from here on these threads may enter. The caller is alone with it.
  @inlinable
  public borrowing func publish(_ owners: ThreadMask) {
    threads.storeSequentiallyConsistent(owners.bits)
  }
}

// MARK: - Enter and leave

extension SplitMaskCustody where Word: ~Copyable {
  /// Begins work on behalf of one of the owners.
  @inlinable
  public borrowing func enter(as me: ThreadMask) -> Admission {
    let owners = threads.loadSequentiallyConsistent()
    guard owners & me.bits != 0 else { return .refused(mustClose: false) }
    if defect == .wakeUnprotected {
      Word.delay(at: .mark, owners)
      return .inside
    }
    let marks = mark(me, owners)
    if marks & me.bits != 0 && defect != .nestedEnter { return .covered }
    if defect == .takeoverInGap || settle(me) { return .inside }
    return .refused(mustClose: leave(as: me))
  }

  /// Sets the caller's mark.
  ///
  /// - Returns: the running mask before that.
  @inlinable
  borrowing func mark(_ me: ThreadMask, _ owners: UInt64) -> UInt64 {
    if defect == .nonatomicState, running.loadSequentiallyConsistent() == 0 {
      Word.delay(at: .mark, owners)
      running.storeSequentiallyConsistent(me.bits)
      return 0
    }
    Word.delay(at: .mark, owners)
    return running.fetchOrSequentiallyConsistent(me.bits)
  }

  /// Waits until no other mark in the running mask is doubtful.
  ///
  /// - Returns: whether the caller is one of the owners then.
  @inlinable
  borrowing func settle(_ me: ThreadMask) -> Bool {
    // A store has left its buffer before anybody could take note of a delay point.
    let isDrawnOut = defect != .storeBufferedDelete
    if isDrawnOut { Word.delay(at: .settleMarks, me.bits) }
    while true {
      let inside: UInt64
      let owners: UInt64
      if defect == .relaxedPair {
        inside = running.loadRelaxed()
        owners = threads.loadRelaxed()
      } else {
        inside = running.loadSequentiallyConsistent()
        if isDrawnOut { Word.delay(at: .settleThreads, inside) }
        owners = threads.loadSequentiallyConsistent()
      }
      let isOwner = owners & me.bits != 0
      if inside & ~me.bits & ~owners == 0 { return isOwner }
      if !isOwner && defect != .spinNoExit { return false }
      pause(me)
    }
  }

  /// Ends work. The caller is inside, or has at least marked itself.
  ///
  /// - Returns: whether the orphan deletion falls to the caller.
  @inlinable
  public borrowing func leave(as me: ThreadMask) -> Bool {
    while true {
      let owners = defect == .lastThenStall ? 0 : threads.loadSequentiallyConsistent()
      Word.delay(at: .unmark, owners)
      let left = running.fetchAndSequentiallyConsistent(~me.bits) & ~me.bits
      guard left == 0 else { return false }
      Word.delay(at: .afterUnmark, owners)
      if owners == 0 { return claim() }
      if defect == .staleThreadMaskLeak { return false }
      if mustClose.loadSequentiallyConsistent() == 0 { return false }
      pause(me)
      _ = running.fetchOrSequentiallyConsistent(me.bits)
    }
  }

  /// The caller was last. Exactly one such thread closes.
  @inlinable
  borrowing func claim() -> Bool {
    if defect == .doubleLast {
      mustClose.storeSequentiallyConsistent(0)
      return true
    }
    return mustClose.compareExchangeSequentiallyConsistent(expected: 1, desired: 0).exchanged
  }
}

extension ThreadMask {
  @usableFromInline var bits: UInt64 {
    @inlinable get { UInt64(rawValue) }
  }
}

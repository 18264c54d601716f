public import FDAtomics

// Whether a descriptor may be taken over, beside the word that says who owns it.
//
// The word sees who is inside a handler. It does not see an owner that uses its descriptor outside:
// in a timer, in another descriptor's handler, in a queued write. So a descriptor is taken over only
// while it is parked, and of all who try, its owner included, one at a time.
//
//              park                     try
//     none ──────────▶ parked ────────────────────▶ tried by a loop ──▶ none
//                         ▲                          │        takes it over
//                         └──────────────────────────┘
//                           gives back
//
// Every value but *none* names the incarnation, and a tried one the loop that tries: what a thread
// gives back is the very ticket that it has taken, or nothing. A thread may be interrupted between
// its try and its giving back for so long that the number is closed, used again and parked again.
//
// | edge | release   | acquire  | orders                                                     |
// |------|-----------|----------|------------------------------------------------------------|
// | P1   | park      | try      | the owner's work outside its handler before the next one's |
// | P2   | take over | isParked | the new owner in the word before its empty ticket          |
//
// Every change between a park and a try is a read-modify-write, so P1's release sequence is not cut.

/// The right to try a takeover of a parked descriptor.
///
/// Callable from any thread, except where it says otherwise.
@frozen
public struct ParkingTicket<Word: AtomicWord & ~Copyable>: ~Copyable {
  /// The generation in the high 44 bits; below it 0, `parked`, or `firstTrier` plus a loop's index.
  @usableFromInline let word: Word

  @usableFromInline static var stateBits: UInt64 {
    @inlinable get { 64 - Generation.bits }
  }
  @usableFromInline static var parked: UInt64 {
    @inlinable get { 1 }
  }
  @usableFromInline static var firstTrier: UInt64 {
    @inlinable get { 2 }
  }

  /// Not parked.
  @inlinable
  public init() { word = Word(0) }

  @inlinable @inline(__always)
  static func ticket(_ generation: Generation, _ state: UInt64) -> UInt64 {
    generation.rawValue << stateBits | state
  }

  /// Whether that incarnation is parked, or a loop just tries to take it over.
  ///
  /// If it is not, and the word says afterwards that the caller owns it alone, then nobody else can
  /// take it over.
  @inlinable
  public borrowing func isParked(_ generation: Generation) -> Bool {
    // Acquire: P2.
    let found = word.loadAcquiring()
    return found & (1 << Self.stateBits - 1) != 0
      && found >> Self.stateBits == generation.rawValue
  }

  /// The caller owns the descriptor alone, and it is not parked.
  @inlinable
  public borrowing func park(_ generation: Generation) {
    let parked = Self.ticket(generation, Self.parked)
    Word.delay(at: .park, parked)
    // Release: P1.
    word.storeReleasing(parked)
  }

  /// Takes over a descriptor if it is parked.
  ///
  /// The word alone cannot tell that an owner is busy outside its handler. So whoever tries takes
  /// the ticket first, and gives it back if the word says no.
  ///
  /// - Parameters:
  ///   - ownership: of the descriptor that the ticket belongs to.
  ///   - generation: the incarnation that is meant.
  ///   - me: the new owner.
  ///   - loop: the index of the loop that tries, which does one thing at a time.
  /// - Returns: as `Ownership.takeOver(_:as:)`; `.busy` too if the descriptor is not parked or
  ///   another one tries at the moment.
  @inlinable
  public borrowing func takeOver(
    _ ownership: borrowing Ownership<Word>, _ generation: Generation, as me: ThreadBit,
    by loop: Int
  ) -> Takeover {
    guard take(generation, by: loop) else {
      return ownership.generation == generation ? .busy : .stale
    }
    Word.delay(at: .afterTakeTicket, Self.ticket(generation, Self.firstTrier + UInt64(loop)))
    let result = ownership.takeOver(generation, as: me)
    if result == .taken { spend() } else { giveBack(generation, by: loop) }
    return result
  }

  /// Takes the ticket, to try a takeover: `spend` or `giveBack` has to follow.
  ///
  /// - Parameters:
  ///   - generation: the incarnation that is meant.
  ///   - loop: the index of the loop that tries, which does one thing at a time.
  /// - Returns: false if it is not parked, or if another one tries at the moment.
  @inlinable
  borrowing func take(_ generation: Generation, by loop: Int) -> Bool {
    Word.delay(at: .takeTicket, Self.ticket(generation, Self.parked))
    // Acquire: P1.
    return word.compareExchangeAcquiring(
      expected: Self.ticket(generation, Self.parked),
      desired: Self.ticket(generation, Self.firstTrier + UInt64(loop))
    ).exchanged
  }

  /// The takeover has succeeded. The caller is inside, so the incarnation is the same.
  @inlinable
  borrowing func spend() {
    Word.delay(at: .spendTicket, 0)
    // Release: P2.
    word.storeReleasing(0)
  }

  /// The takeover has failed: the descriptor is as parked as before, if it is still there.
  @inlinable
  borrowing func giveBack(_ generation: Generation, by loop: Int) {
    let mine = Self.ticket(generation, Self.firstTrier + UInt64(loop))
    Word.delay(at: .giveBackTicket, mine)
    _ = word.compareExchangeAcquiring(
      expected: mine, desired: Self.ticket(generation, Self.parked))
  }

  /// Forgets everything. The caller is alone with the slot.
  @inlinable
  public borrowing func clear() { word.storeRelaxed(0) }
}

/// The defects that implementations of the split-mask protocol have had. Each is one place in
/// `SplitMaskCustody` that does not do what it ought to.
///
/// T1, T2 and T3 are threads.
public enum SplitMaskDefect: String, CaseIterable, Sendable {
  /// No must-close flag: whoever is last and finds the thread mask empty closes. T1 deletes between
  /// the first test and the mark of T2, and is last; so is T2, when it withdraws.
  case doubleLast = "DOUBLE_LAST"
  /// No second look at the thread mask: between the first test and the mark of T2, T1 performs a
  /// whole takeover.
  case takeoverInGap = "TAKEOVER_IN_GAP"
  /// Who settles waits for all others to be owners, even when it is no owner itself any more. T1
  /// and T2 have their marks set, T3 deletes, and each waits for the other.
  case spinNoExit = "SPIN_NO_EXIT"
  /// A takeover whose compare-and-swap has failed tries again with the value that it found, and so
  /// seizes a busy descriptor.
  case casForces = "CAS_FORCES"
  /// Whoever leaves trusts the thread mask that it read before it cleared its mark. T2 deletes in
  /// between and defers to T1, which does not look at the must-close flag.
  case staleThreadMaskLeak = "STALE_T_LEAK"
  /// Whoever leaves last takes the must-close flag without more ado. T1 leaves, is last and stalls;
  /// T2 enters and deletes; T1 takes the flag, and closes while T2 is inside.
  case lastThenStall = "LAST_THEN_STALL"
  /// A deleter from outside does not mark itself: it clears the thread mask by a plain store, and
  /// then looks for marks. Its store is still in the store buffer when T1 marks itself and looks.
  case storeBufferedDelete = "SB_FOREIGN_DELETE"
  /// The two masks are read with relaxed loads while settling. T2 sees that T1, which has taken the
  /// descriptor over, is gone, and still reads a thread mask from before.
  case relaxedPair = "RELAXED_PAIR"
  /// A deleter closes at once, whoever is inside. T1 runs the handler, T2 deletes, and T1 uses what
  /// is closed and freed.
  case ownerGone = "OWNER_GONE"
  /// A takeover does not mind that nobody owns the descriptor any more. T1 deletes and closes; T2
  /// takes over what is closed.
  case closingTaken = "CLOSING_TAKEN"
  /// The handler is started without a mark in the running mask. T1 is inside, and T2's takeover
  /// finds nobody.
  case wakeUnprotected = "WAKE_UNPROTECTED"
  /// Who is inside enters once more, and so leaves twice. T1 has taken the descriptor over and gets
  /// an event for it; the inner leave clears the mark of the outer scope; T2 deletes, and closes
  /// while T1 is inside.
  case nestedEnter = "NESTED_ENTER"
  /// Who finds the running mask empty stores its mark there. T1 reads that nobody is inside, T2
  /// takes over, and T1's store erases T2's mark.
  case nonatomicState = "NONATOMIC_STATE"
  /// A deleter waits until nobody is inside. T1 deletes with a lock held that T2, which is inside,
  /// waits for.
  case deleteWaits = "DEL_WAITS"
}

public import FDAtomics
public import FDOwnership

// How a descriptor gets another owner, or none.

extension SplitMaskCustody where Word: ~Copyable {
  /// Makes the descriptor the caller's alone, with the caller inside. It has one owner.
  @inlinable
  public borrowing func takeOver(as me: ThreadMask) -> Admission {
    var expected: UInt64 = 0
    while true {
      let attempt = running.compareExchangeSequentiallyConsistent(
        expected: expected, desired: me.bits)
      if attempt.exchanged { break }
      guard defect == .casForces else { return .refused(mustClose: false) }
      expected = attempt.original
    }
    Word.delay(at: .takeThreads, me.bits)
    let owners = threads.loadSequentiallyConsistent()
    if owners != 0 || defect == .closingTaken,
      threads.compareExchangeSequentiallyConsistent(expected: owners, desired: me.bits).exchanged
    {
      return .inside
    }
    return .refused(mustClose: leave(as: me))
  }

  /// Condemns the descriptor, by somebody who is inside: whoever leaves last closes it.
  @inlinable
  public borrowing func deleteInside() {
    mustClose.storeSequentiallyConsistent(1)
    Word.delay(at: .emptyThreads, 0)
    threads.storeSequentiallyConsistent(0)
  }

  /// Condemns the descriptor, by somebody who is not inside.
  ///
  /// - Returns: whether the orphan deletion falls to the caller.
  @inlinable
  public borrowing func delete(as me: ThreadMask) -> Bool {
    if defect == .storeBufferedDelete {
      mustClose.storeSequentiallyConsistent(1)
      Word.delay(at: .emptyThreads, 0)
      threads.storeReleasing(0)
      return running.loadSequentiallyConsistent() == 0 && claim()
    }
    _ = running.fetchOrSequentiallyConsistent(me.bits)
    deleteInside()
    if defect == .deleteWaits {
      while running.loadSequentiallyConsistent() & ~me.bits != 0 { pause(me) }
    }
    if defect == .ownerGone {
      _ = running.fetchAndSequentiallyConsistent(~me.bits)
      return claim()
    }
    return leave(as: me)
  }
}

public import FDAtomics

extension DelayPoint {
  /// What the value at a point is.
  public enum Kind: Sendable {
    /// An ownership word.
    case word
    /// A raw handle.
    case handle
    /// A parking ticket.
    case ticket
    /// Threads.
    case mask
    /// Nothing that says much.
    case nothing
  }

  /// What the value at the point is.
  public var kind: Kind {
    switch self {
    case .seal, .publish, .enter, .afterEnter, .afterLeave, .takeOver, .afterTakeOver, .delete,
      .afterDelete, .claim, .afterClaim, .free:
      .word
    case .leave: .mask
    case .park, .takeTicket, .afterTakeTicket, .giveBackTicket: .ticket
    case .spendTicket: .nothing
    case .post, .wake, .sleep, .afterSleep, .takeMail, .closeMailbox, .own: .nothing
    case .event, .discharge, .close, .afterClose, .settle, .afterSettle: .handle
    case .link, .afterLink, .takeIdle, .delist, .afterDelist, .purge, .unlink: .handle
    case .mark, .settleMarks, .settleThreads, .takeThreads, .emptyThreads, .unmark, .afterUnmark:
      .mask
    }
  }

  /// Where it is in the source, and what is about to happen there.
  public var place: String {
    switch self {
    case .seal: "Ownership.seal, a free slot seen, before it is sealed"
    case .publish: "Ownership.publish, before the word is live"
    case .enter: "Ownership.enter, allowed in, before the running bit is set"
    case .afterEnter: "Ownership.enter, inside, before the handler"
    case .leave: "Ownership.leave, before the running bit is cleared"
    case .afterLeave: "Ownership.leave, last out and must close, before the claim"
    case .takeOver: "Ownership.takeOver, allowed, before the word is changed"
    case .afterTakeOver: "Ownership.takeOver, taken and inside"
    case .delete: "Ownership.end, alive, before it is condemned"
    case .afterDelete: "Ownership.end, condemned, before the claim"
    case .claim: "Ownership.claim, nobody inside and must close, before it is sealed"
    case .afterClaim: "Ownership.claim, sealed: the orphan deletion is this thread's"
    case .free: "Ownership.free, before the slot is free"
    case .park: "ParkingTicket.park, before it can be taken over"
    case .takeTicket: "ParkingTicket.take, before the ticket is taken"
    case .afterTakeTicket: "ParkingTicket.takeOver, ticket taken, before the word is tried"
    case .spendTicket: "ParkingTicket.takeOver, taken over, before the ticket is spent"
    case .giveBackTicket: "ParkingTicket.takeOver, refused, before the ticket is given back"
    case .post: "Mailbox.post, before the letter is put in"
    case .wake: "Mailbox.post, letter in and the loop asleep, before it is woken"
    case .sleep: "Mailbox.prepareToSleep, mail read, before the loop is marked asleep"
    case .afterSleep: "Mailbox.prepareToSleep, marked asleep, before the wait"
    case .takeMail: "Mailbox.take, mail seen, before it is taken"
    case .closeMailbox: "Mailbox.close, before letters are refused"
    case .event: "EventLoop.dispatch, event fetched, before the word is asked"
    case .discharge: "PollerCore.discharge, claimed, before the home loop is told"
    case .close: "PollerCore.release, slot free, before close(2)"
    case .afterClose: "PollerCore.release, after close(2)"
    case .settle: "EventLoop.settle, taken over, before the kernel pollers are told"
    case .afterSettle: "EventLoop.settle, registered, before the former owner is told"
    case .link: "ConnectionPool.checkIn, parked, before it is listed"
    case .afterLink: "ConnectionPool.checkIn, listed: anybody's"
    case .takeIdle: "ConnectionPool.take, found in a list, before the takeover"
    case .delist: "ConnectionPool.take, taken over, before it leaves the list"
    case .afterDelist: "ConnectionPool.begin, out of the list, before it is the loop's own"
    case .purge: "ConnectionPool.closeUnlinked, out of the list, before the delete"
    case .unlink: "PooledCompanion.ready, the peer is gone, before it leaves the list"
    case .mark: "SplitMaskCustody.enter, thread mask tested, before the running mark"
    case .settleMarks: "SplitMaskCustody.settle, marked, before the running mask is read"
    case .settleThreads: "SplitMaskCustody.settle, running mask read, before the thread mask is"
    case .takeThreads: "SplitMaskCustody.takeOver, running mask taken, before the thread mask is"
    case .emptyThreads: "SplitMaskCustody.deleteInside, must-close set, before the thread mask is"
    case .unmark: "SplitMaskCustody.leave, thread mask read, before the mark is cleared"
    case .afterUnmark: "SplitMaskCustody.leave, last out, before the claim"
    case .own: "ThreadDelays.pass, in code that embeds the poller"
    }
  }
}

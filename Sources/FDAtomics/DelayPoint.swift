/// A named place between two atomic steps: what another thread does there decides who wins a race.
///
/// In a release build of this package nothing is left of them. With the package trait `SpinDelays`
/// they can be drawn out, so that races of one in a billion show within a second.
///
/// Each is named after the step that is about to be taken, or, with *after*, after the one that has
/// been taken.
public enum DelayPoint: UInt8, CaseIterable, Sendable {
  // The ownership word. The value is the word, as it was seen last or as this thread makes it.

  /// A free slot was seen; it is about to be sealed.
  case seal
  /// The fields are written; the word is about to be published.
  case publish
  /// The word lets this thread in; its bit is about to be set.
  case enter
  /// Inside; the handler is about to run.
  case afterEnter
  /// The handler has run; the bit is about to be cleared. The value is this thread.
  case leave
  /// This thread has left, was the last one, and the descriptor must close.
  case afterLeave
  /// The word allows a takeover, which is about to be made.
  case takeOver
  /// Taken over, and inside.
  case afterTakeOver
  /// The descriptor lives; it is about to be condemned or disowned.
  case delete
  /// It is condemned; whether nobody is inside is about to be seen.
  case afterDelete
  /// Nobody is inside and it must close; the slot is about to be sealed for the orphan deletion.
  case claim
  /// The orphan deletion is this thread's.
  case afterClaim
  /// The slot's fields are cleared; the word is about to be freed.
  case free

  // The parking ticket. The value is the ticket.

  /// Parked is about to be said; the owner does nothing with it any more.
  case park
  /// The ticket of a parked descriptor is about to be taken.
  case takeTicket
  /// The ticket is taken; the word is about to be tried.
  case afterTakeTicket
  /// The takeover has succeeded; the ticket is about to be spent.
  case spendTicket
  /// The takeover has failed; the ticket is about to be given back.
  case giveBackTicket

  // The mailbox. The value is the mailbox's word.

  /// The newest letter was seen; one more is about to be put above it.
  case post
  /// The letter is in and the consumer sleeps; it is about to be woken.
  case wake
  /// The mail has been read; the consumer is about to say that it sleeps.
  case sleep
  /// The consumer is marked asleep, and about to wait.
  case afterSleep
  /// The mail is about to be taken.
  case takeMail
  /// The mailbox is about to be closed for good.
  case closeMailbox

  // The loop. The value is a handle.

  /// The kernel has told of an event, which is about to be looked at.
  case event
  /// The orphan deletion is claimed and about to be brought to the home loop.
  case discharge
  /// The slot is free; the number is about to be closed.
  case close
  /// The number is closed, and perhaps used again already.
  case afterClose
  /// Taken over; the kernel pollers are about to be told.
  case settle
  /// The new owner's kernel poller knows; the former owner is about to be told.
  case afterSettle

  // The pool. The value is a handle.

  /// Parked; about to be linked into the idle list.
  case link
  /// Linked: anybody's from here on.
  case afterLink
  /// Found in an idle list; about to be taken over.
  case takeIdle
  /// Taken over; about to be taken out of the list.
  case delist
  /// Taken out of the list; about to be made the loop's own.
  case afterDelist
  /// Taken out of the list to be purged; about to be deleted.
  case purge
  /// Gone by itself; about to be taken out of the list.
  case unlink

  // The split-mask protocol. The value is a mask: who is seen, or who acts.

  /// The thread mask has this thread; its mark is about to be set in the running mask.
  case mark
  /// The mark is set; the other marks are about to be looked at.
  case settleMarks
  /// The running mask was read; the thread mask is about to be.
  case settleThreads
  /// The running mask is this thread's; the thread mask is about to be made so too.
  case takeThreads
  /// Must-close is set; the thread mask is about to be emptied.
  case emptyThreads
  /// The thread mask was read; the mark is about to be cleared.
  case unmark
  /// The mark is cleared, and this thread was last.
  case afterUnmark

  /// A place in the code of whoever embeds the poller, or in a scenario.
  case own
}

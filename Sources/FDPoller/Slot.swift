import FDAtomics
import FDOwnership
import Synchronization

/// What the poller knows of one descriptor number, in one cache line. All zeros is a free slot.
///
/// The fields below the ownership are written by whoever is alone with the slot (sealed) and read
/// between enter and leave, except where they say otherwise.
struct Slot: ~Copyable {
  let ownership: Ownership<CustodyWord>

  /// Whether the owner does nothing with the descriptor outside its handler, so that it may be taken
  /// over. See `EventLoop.takeOver`.
  let parking: ParkingTicket<CustodyWord>

  /// The index of the loop that runs the orphan deletion. Written while sealed or inside; read by
  /// whoever claimed, and, as a hint where to send mail, by anybody.
  let home: Atomic<UInt32>

  /// How many events in a row the handler got without making progress. Only for the report of a
  /// spinning descriptor, so the loops that share one may lose counts.
  let eventsWithoutProgress: Atomic<UInt32>

  /// The slot's own reference, released by the orphan deletion.
  var handler: Unmanaged<DescriptorHandler>?

  var options: InsertOptions

  /// The handle, plus 1, of an incarnation that somebody closed behind the poller's back. Written
  /// by any thread, perhaps too late for that incarnation, so it names it.
  let closedElsewhere: Atomic<UInt64>

  /// The handle, plus 1, of an incarnation that has gone from loop to loop: a former owner may still
  /// have it on record. Written inside.
  let moved: Atomic<UInt64>
}

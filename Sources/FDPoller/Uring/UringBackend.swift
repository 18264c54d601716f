import CShims
import FDOwnership
import Glibc
import Logging
import SystemPackage

/// io_uring(7): whatever a loop asks of the kernel in a tick is collected, and told in the one
/// system call that waits.
///
/// | of a descriptor                | is in flight                                               |
/// |--------------------------------|------------------------------------------------------------|
/// | a handler's own                | a multishot poll while something is wanted                 |
/// | of a connection (`ByteStream`) | a multishot receive while it reads, a send while it writes |
/// | of a connection of a pool      | a multishot poll, and a send while it writes               |
/// | of a listener                  | a multishot accept; a poll if loops share it, or if there  |
/// |                                | may not be numbers enough for all who are queued           |
///
/// A multishot poll is edge-triggered (seen on Linux 6.18; IORING_POLL_ADD_LEVEL is refused with
/// EINVAL when a poll is added): it reports what is ready when it is armed, and after that only what
/// becomes ready, each wake-up once. So every poll that told something is asked to look a second time
/// with the next submit, unless the handler has met "would block" meanwhile: the handler sees level
/// triggering. A short read is no such sign: urgent data, and descriptors sent along on a Unix
/// socket, end a read before the last byte.
///
/// A request in flight holds its file open, and its descriptor's number may be somebody else's by
/// the time that it completes. So every request that nobody wants to hear of any more is cancelled,
/// and a completion is matched with its request by record and generation, never by number.
///
/// Used by its loop's thread only, save `init`.
final class UringBackend: Backend {
  @exclusivity(unchecked) var ring: Ring
  /// After the ring: the kernel must not use them any more when they go.
  @exclusivity(unchecked) var buffers: ReceiveBuffers
  let abilities: RingAbilities
  var isEnabled = false
  let wakeUp: Int32
  let registrations: LazyArray<Registration>
  @exclusivity(unchecked) var requests = RequestTable()

  // What waits for the next submit. Descriptor numbers are turned into submissions right before it:
  // one that was collected earlier could be closed and used again by then.

  /// Numbers whose registration differs from what the kernel has, each once.
  @exclusivity(unchecked) var changed: [Int32] = []
  @exclusivity(unchecked) var cancellations: [RequestID] = []
  @exclusivity(unchecked) var secondLooks: [RequestID] = []
  /// Numbers whose streams have something to send.
  @exclusivity(unchecked) var sends: [Int32] = []
  var needsWakeUpPoll = true

  /// How many waits there have been.
  @exclusivity(unchecked) var waits: UInt64 = 0

  // What the loop is told after the wait.

  let completions: UnsafeMutableBufferPointer<fdp_completion>
  let events: UnsafeMutableBufferPointer<Event>
  @exclusivity(unchecked) var eventCount = 0
  /// Numbers whose streams have had something to tell before the wait.
  @exclusivity(unchecked) var retold: [Int32] = []
  @exclusivity(unchecked) var refusals: [(handle: FDHandle, errno: Errno)] = []
  @exclusivity(unchecked) var unheard: [FDHandle] = []
  @exclusivity(unchecked) var quieted: [() -> Void] = []

  @exclusivity(unchecked) var reserve = ByteQueue.Reserve()
  /// The kernel had no memory for completions: a request may be over without having said so.
  var hasLostCompletions = false
  @exclusivity(unchecked) var counts = Counts()
  let logger: Logger

  /// What this loop has told the kernel of one number. All zeros is nothing.
  struct Registration {
    /// The handle's bits plus one, since those of number 0 are zeros in its first incarnation; 0 is
    /// nobody.
    var holder: UInt64 = 0
    /// The poll that is in flight, or none; its record is active.
    var poll = RequestID.none
    /// Retained.
    var stream: Unmanaged<ByteStream>?
    var wanted: Interest = []
    /// What that poll asks for.
    var armed: Interest = []
    /// The directions that have met "would block" since the poll told of them.
    var exhausted: Interest = []
    var options: InsertOptions = []
    /// Its event of this wait, by its place plus one; 0 if there is none.
    var event: UInt32 = 0
    var isListedAsChanged = false
    /// The kernel can watch it: it has been found out.
    var isKnownToBePollable = false

    @inline(__always)
    func isHeld(by handle: FDHandle) -> Bool { holder == handle.rawValue &+ 1 }
    @inline(__always)
    var handle: FDHandle { FDHandle(rawValue: holder &- 1) }
    /// What a poll is to tell of; the rest is the stream's.
    @inline(__always)
    var wantedOfPoll: Interest {
      guard options.contains(.stream) else { return wanted }
      return options.contains(.readsByPoll) ? wanted.intersection(.read) : []
    }
  }

  struct Event {
    let handle: FDHandle
    var readiness: Readiness
    /// None if only a stream tells.
    var poll: RequestID
  }

  /// What the ring counts.
  struct Counts: Equatable {
    var submissions: UInt64 = 0
    var completions: UInt64 = 0
    var overflows: UInt64 = 0
    var rearms: UInt64 = 0
    /// Times that there was no room for a submission.
    var fullQueues: UInt64 = 0
    /// Waits that a signal has ended.
    var interruptions: UInt64 = 0
    /// Cancellations of what was over already.
    var lateCancellations: UInt64 = 0
    /// Cancellations of what was being run at that moment; they are repeated.
    var busyCancellations: UInt64 = 0
    /// Requests that were in flight after the end of the ring: none.
    var abandoned: UInt64 = 0
    /// Buffers that were not the kernel's then: none.
    var missing: UInt64 = 0
  }

  /// - Parameters:
  ///   - limit: descriptor numbers are below it.
  ///   - wakeUp: the eventfd that ends a wait. It is never read: every write to it is a wake-up.
  ///   - abilities: what `RingProbe` has found.
  init(
    limit: Int, wakeUp: Int32, abilities: RingAbilities, setup: RingSetup = RingSetup(),
    logger: Logger
  ) throws(PollerError) {
    do {
      ring = try Ring(
        abilities.mode, submissions: setup.submissions, completions: setup.completions)
      buffers =
        abilities.receives
        ? try ReceiveBuffers(for: ring, count: setup.buffers.count, size: setup.buffers.size)
        : ReceiveBuffers()
    } catch {
      throw .ioUringUnavailable(RingProbe.reason(for: error))
    }
    self.wakeUp = wakeUp
    self.abilities = abilities
    self.logger = logger
    registrations = LazyArray(count: limit)
    completions = .allocate(capacity: setup.completionsPerWait)
    // As many again may be told once more.
    events = .allocate(capacity: setup.completionsPerWait * 2)
  }

  deinit {
    // Before its buffers go.
    ring.close()
    completions.deallocate()
    events.deallocate()
  }
}

// MARK: - The end

extension UringBackend {
  /// Cancels everything and waits for the last completion: from then on the kernel holds no file
  /// and no memory for this ring.
  func shutDown() {
    guard ring.isOpen else { return }
    if isEnabled { endRequests() }
    counts.abandoned = UInt64(requests.inFlight)
    counts.missing = UInt64(buffers.taken)
    ring.close()
  }

  private func endRequests() {
    for id in requests.all(.active) {
      _ = requests.markEnding(id)
      cancellations.append(id)
    }
    retold = []
    eventCount = 0
    needsWakeUpPoll = false
    var rounds = 0
    while requests.inFlight > 0 && rounds < 10_000 {
      // Nothing is begun any more.
      changed = []
      sends = []
      _ = collect()
      let hasMore = ring.wait(nanoseconds: 1_000_000) >= 0
      takeCompletions()
      if !hasMore { rounds += 1 }
    }
    if requests.inFlight > 0 {
      logger.error(
        "requests are still in flight after the end of their ring",
        metadata: ["count": "\(requests.inFlight)"])
      // The kernel may still write into them.
      buffers.leak()
    }
  }
}

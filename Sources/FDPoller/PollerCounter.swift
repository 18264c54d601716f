import Synchronization

/// What the poller counts, per loop and for the threads outside. All count up from the start, save
/// the maximum `longestTickNanoseconds` and the minimum `ringBuffersLowWater`.
public enum PollerCounter: Int, CaseIterable, Sendable {
  case ticks
  /// Ticks that really waited for the kernel; each is one wake-up of the thread.
  case sleeps
  case events
  /// Events for an incarnation that was gone; their cause has been removed.
  case eventsStale
  /// Events for a descriptor that another loop had taken over; their cause has been removed.
  case eventsLost
  /// Events for a descriptor that the loop was inside of already.
  case eventsWhileInside
  case descriptorsInserted
  case takeoversWon
  /// Takeovers refused because somebody was inside, or because the descriptor was not parked.
  case takeoversBusy
  /// Takeovers refused because the descriptor was closing or gone.
  case takeoversGone
  /// Closes whose orphan deletion fell to whoever deleted.
  case closesByDeleter
  /// Closes whose orphan deletion fell to the last thread that was inside.
  case closesByLastLeaver
  /// Descriptors that left the poller open.
  case disowned
  /// Descriptors that somebody closed behind the poller's back.
  case rawCloses
  /// Deletes of a descriptor that was gone already.
  case deletesAlreadyGone
  /// Events of an exclusive descriptor handed on to another loop, once for each loop that was
  /// asked.
  case pokes
  case wakeUpsSent
  /// Messages to a loop that was awake and needed no wake-up.
  case wakeUpsSuppressed
  case timersFired
  /// Pieces of tasks that were run.
  case jobs
  case longestTickNanoseconds
  /// Ticks that were longer than the configured limit.
  case longTicks
  /// Times that a zombie registration was found and the loop's kernel poller made anew.
  case kernelPollerRebuilds
  /// Descriptors that got a million events in a row without progress.
  case spinningDescriptors
  /// Requests that io_uring was given; cancellations and repeated looks included.
  case ringSubmissions
  /// Answers of io_uring.
  case ringCompletions
  /// Waits after which io_uring still had answers for which there was no room in the ring.
  case ringOverflows
  /// Requests that repeat, which io_uring had ended and which were made again.
  case ringRearms
  /// Times that io_uring had no room for another request, so that those collected were handed over
  /// in the middle of a tick.
  case ringFullQueues
  /// Waits for io_uring that a signal has ended.
  case ringInterruptions
  /// Cancellations that came too late: what they were to end was over.
  case ringLateCancellations
  /// Cancellations that met io_uring running what they were to end, and were repeated.
  case ringBusyCancellations
  /// Requests that were still in flight when their ring was closed: always 0.
  case ringRequestsAbandoned
  /// The fewest receive buffers that a loop's ring has had at a time. At 0 receives had to wait for
  /// the end of a tick.
  case ringBuffersLowWater
  /// Receive buffers that were not back when their ring was closed: always 0.
  case ringBuffersMissing
}

/// The live counters of one loop, or of all threads that are none.
struct Counters: ~Copyable {
  private let values: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    values = .allocate(capacity: PollerCounter.allCases.count)
    for index in 0..<PollerCounter.allCases.count { (values + index).initialize(to: Atomic(0)) }
  }

  deinit {
    values.deinitialize(count: PollerCounter.allCases.count).deallocate()
  }

  /// Counts without a locked instruction. Called by the one thread that owns the counters.
  @inline(__always)
  func add(_ counter: PollerCounter, _ amount: UInt64 = 1) {
    let value = values + counter.rawValue
    value.pointee.store(value.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }

  /// Raises a maximum. Called by the one thread that owns the counters.
  @inline(__always)
  func raise(_ counter: PollerCounter, to candidate: UInt64) {
    let value = values + counter.rawValue
    if candidate > value.pointee.load(ordering: .relaxed) {
      value.pointee.store(candidate, ordering: .relaxed)
    }
  }

  /// Called by the one thread that owns the counters.
  @inline(__always)
  func set(_ counter: PollerCounter, to value: UInt64) {
    values[counter.rawValue].store(value, ordering: .relaxed)
  }

  /// Counts on behalf of any thread.
  func addShared(_ counter: PollerCounter, _ amount: UInt64 = 1) {
    values[counter.rawValue].wrappingAdd(amount, ordering: .relaxed)
  }

  /// Callable from any thread.
  subscript(counter: PollerCounter) -> UInt64 {
    values[counter.rawValue].load(ordering: .relaxed)
  }

  func snapshot(name: String) -> LoopSnapshot {
    LoopSnapshot(
      name: name,
      values: (0..<PollerCounter.allCases.count).map { values[$0].load(ordering: .relaxed) })
  }
}

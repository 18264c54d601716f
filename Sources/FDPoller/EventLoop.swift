import CShims
import FDAtomics
public import FDOwnership
import Logging
import Synchronization
import SystemPackage

/// One thread of the poller with its kernel poller, mailbox and timers.
///
/// A tick: read the mail, run due timers, run deferred calls, tell the kernel what has changed and
/// wait, hand out events. No call-back ever runs inside the call that caused it.
///
/// Methods say from which thread they may be called; "on the loop" means from its own thread, that
/// is from a handler, a timer, or a closure given to `run`.
public final class EventLoop: @unchecked Sendable {
  /// The loop's number in its poller, from 0.
  public let index: Int
  /// The thread's name.
  public let name: String
  /// The loop's place in the ownership word.
  public let bit: ThreadBit

  package let core: PollerCore
  let backend: KernelPoller
  let mailbox: Mailbox<CustodyWord, EventFDParker, Wish>
  let counters = Counters()
  let afterlife = Afterlife()
  private let ended = Atomic(false)

  // What follows is the loop thread's alone. Its exclusivity is not checked at run time: a check
  // costs some 70 instructions, ten of them per event made a third of an echo's instructions, and
  // no access here lasts while other code of the loop runs.

  @exclusivity(unchecked) var timers: TimerWheel<TimerCall>
  /// Calls that wait for the end of what runs now.
  @exclusivity(unchecked) var deferred: [Deferred] = []
  /// The array whose turn comes next, kept for its memory.
  @exclusivity(unchecked) var deferredSpare: [Deferred] = []
  /// Rises with every byte operation that moved something, so that a handler that moved nothing
  /// shows.
  @exclusivity(unchecked) var progress: UInt64 = 0
  /// While a handler deals with a poke: whose, and how often that poke may still be passed on.
  @exclusivity(unchecked) var pokeInHand: (handle: FDHandle, hops: Int)?
  /// Pieces of tasks that wait for their turn.
  @exclusivity(unchecked) var jobs = JobQueue()
  /// Of the job that runs now; nil if none does, or it is bound to no home.
  @exclusivity(unchecked) var homeInHand: Unmanaged<TaskHome>?
  @exclusivity(unchecked) private var stage = Stage.running
  @exclusivity(unchecked) private var tickStart = EventLoop.clock()
  /// Room for one receive; its contents are gone with the next one.
  package let scratch: UnsafeMutableRawBufferPointer

  private enum Stage {
    case running
    /// Every descriptor is being deleted; the loop runs until there is none left in the whole
    /// poller.
    case closing
    case ended
  }

  init(
    index: Int, bit: ThreadBit, core: PollerCore, waitingWith choice: KernelPoller.Choice
  ) throws(PollerError) {
    self.index = index
    self.bit = bit
    self.core = core
    name = core.configuration.name + "-\(index)"
    let parker = try EventFDParker()
    backend = try KernelPoller(
      choice, limit: core.table.count, wakeUp: parker.fd, core.configuration)
    mailbox = Mailbox(parker: parker)
    timers = TimerWheel(now: Self.clock() / Self.nanosecondsPerTick)
    // Last: of a loop that cannot be made there is no end that would release it.
    scratch = .allocate(byteCount: 64 << 10, alignment: 4096)
  }

  deinit {
    backend.release()
    scratch.deallocate()
  }

  /// The loop whose thread this is, or nil. Callable from any thread.
  public static var current: EventLoop? {
    fdp_current_loop().map { Unmanaged<EventLoop>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Whether the calling thread is the loop's. Callable from any thread.
  public var isCurrent: Bool {
    fdp_current_loop() == Unmanaged.passUnretained(self).toOpaque()
  }

  /// When the last wait ended, in nanoseconds: the time as far as events are concerned. On the
  /// loop.
  package var tickTime: UInt64 { tickStart }

  /// The time on CLOCK_MONOTONIC, in nanoseconds. Callable from any thread.
  package static func clock() -> UInt64 { fdp_monotonic_nanoseconds() }
}

extension EventLoop: CustomStringConvertible {
  /// The name, the group and the bit.
  public var description: String { "\(name) (group \(bit.group), bit \(bit.index))" }
}

// MARK: - The tick

extension EventLoop {
  /// The thread's life: returns when the poller has stopped.
  func runUntilStopped() {
    fdp_set_current_loop(Unmanaged.passUnretained(self).toOpaque())
    defer { fdp_set_current_loop(nil) }
    if let processor = core.configuration.processor(ofLoop: index) {
      let result = fdp_thread_pin(Int32(clamping: processor))
      if result < 0 {
        core.configuration.logger.warning(
          "cannot pin a loop to its processor",
          metadata: [
            "loop": "\(name)", "processor": "\(processor)", "errno": "\(Errno(rawValue: -result))",
          ])
      }
    }
    while !core.isPastStart { _ = backend.wait(timeoutNanoseconds: nil) }
    tickStart = Self.clock()
    while stage != .ended { tick() }
    drainClosedMailbox()
    backend.shutDown()
    if let uring = backend.uring {
      noteCounts(of: uring)
      for body in uring.takeQuieted() { body() }
      while !deferred.isEmpty { runDeferred() }
    }
    dropTimers()
    runLeftovers(rounds: 64)
    while let job = jobs.popFirst() { afterlife.accept(job, of: self) }
    ended.store(true, ordering: .releasing)
  }

  /// The poller ends without having had a thread for this loop.
  func endWithoutThread() {
    var mail = mailbox.close()
    while let wish = mail.popFirst() {
      if case .job(let job) = wish { afterlife.accept(job, of: self) }
    }
    ended.store(true, ordering: .releasing)
  }

  /// Whether no timer will fire any more. On the loop.
  var hasStopped: Bool { stage == .ended || hasEnded }

  /// Whether the loop does nothing any more. Callable from any thread.
  var hasEnded: Bool { ended.load(ordering: .acquiring) }

  /// Callable from any thread.
  var ticks: UInt64 { counters[.ticks] }

  /// One round; the loop's thread makes one after the other until the poller stops. A closure given
  /// to `run` may make some within its own, which is how single ticks are measured. On the loop.
  package func tick() {
    readMail()
    runTimers(at: tickTime)
    runDeferred()
    runTurns()
    if core.isStopping { advanceStop() }
    counters.add(.ticks)
    let now = Self.clock()
    noteLength(nanoseconds: now - tickTime)
    let timeout = waitLimit(at: now)
    switch backend {
    case .epoll(let epoll): epoll._withUnsafeGuaranteedRef { waitAndDispatch($0, timeout, now) }
    case .uring(let uring): uring._withUnsafeGuaranteedRef { waitForRing($0, timeout, now) }
    }
  }

  @inline(__always)
  private func waitAndDispatch<Kernel: Backend>(
    _ backend: Kernel, _ timeout: UInt64?, _ now: UInt64
  ) {
    let count = backend.wait(timeoutNanoseconds: timeout)
    if timeout != 0 { counters.add(.sleeps) }
    tickStart = timeout == 0 && count == 0 ? now : Self.clock()
    for (handle, errno) in backend.takeRefusals() where owns(handle) { core.giveUp(handle, errno) }
    for index in 0..<count {
      let event = backend.event(at: index)
      if !Kernel.isWakeUp(event.handle) { dispatch(event.readiness, to: event.handle) }
    }
  }

  @inline(never)
  private func waitForRing(_ uring: UringBackend, _ timeout: UInt64?, _ now: UInt64) {
    waitAndDispatch(uring, timeout, now)
    noteCounts(of: uring)
    for body in uring.takeQuieted() { body() }
    for handle in uring.takeUnheard() where !uring.interest(in: handle).contains(.read) {
      poke(handle)
    }
  }

  private func noteCounts(of uring: UringBackend) {
    let counts = uring.counts
    counters.set(.ringSubmissions, to: counts.submissions)
    counters.set(.ringCompletions, to: counts.completions)
    counters.set(.ringOverflows, to: counts.overflows)
    counters.set(.ringRearms, to: counts.rearms)
    counters.set(.ringFullQueues, to: counts.fullQueues)
    counters.set(.ringInterruptions, to: counts.interruptions)
    counters.set(.ringLateCancellations, to: counts.lateCancellations)
    counters.set(.ringBusyCancellations, to: counts.busyCancellations)
    counters.set(.ringRequestsAbandoned, to: counts.abandoned)
    counters.set(.ringBuffersLowWater, to: UInt64(uring.buffers.lowWater))
    counters.set(.ringBuffersMissing, to: counts.missing)
  }

  /// How long the coming wait may be, in nanoseconds; 0 if something is left to do.
  private func waitLimit(at now: UInt64) -> UInt64? {
    guard deferred.isEmpty, jobs.isEmpty, stage != .ended, mailbox.prepareToSleep() else {
      return 0
    }
    var limit: UInt64? = stage == .closing ? Self.closingRound : nil
    if let tick = timers.nextExpiry() {
      let expiry = tick * Self.nanosecondsPerTick
      limit = min(limit ?? .max, expiry > now ? expiry - now : 0)
    }
    return limit
  }

  /// While the poller stops, a loop looks this often for descriptors that reached it late.
  private static let closingRound: UInt64 = 2_000_000

  private func noteLength(nanoseconds: UInt64) {
    counters.raise(.longestTickNanoseconds, to: nanoseconds)
    if nanoseconds > core.tickLimitNanoseconds {
      counters.add(.longTicks)
      core.configuration.logger.warning(
        "a tick was longer than its limit: something blocks or computes on the loop",
        metadata: ["loop": "\(name)", "milliseconds": "\(nanoseconds / 1_000_000)"])
    }
  }
}

// MARK: - Events

extension EventLoop {
  @inline(__always)
  func dispatch(_ readiness: Readiness, to handle: FDHandle) {
    counters.add(.events)
    DelayPoint.event.pass(handle)
    switch core.table[handle.fd].ownership.enter(handle.generation, as: bit) {
    case .entered:
      let progressBefore = progress
      // The slot's reference cannot go away while this thread is inside.
      core.table[handle.fd].handler.unsafelyUnwrapped._withUnsafeGuaranteedRef {
        $0.ready(readiness, of: handle, on: self)
      }
      if progress == progressBefore { noteSpin(of: handle) }
      leave(handle)
    case .inside:
      counters.add(.eventsWhileInside)
    case .lost:
      counters.add(.eventsLost)
      reconcile(handle)
    case .stale:
      counters.add(.eventsStale)
      if backend.removeCause(of: handle) { counters.add(.kernelPollerRebuilds) }
    }
  }

  @inline(__always)
  package func leave(_ handle: FDHandle) {
    let duty = core.table[handle.fd].ownership.leave(as: bit)
    if duty != .none {
      if duty == .close { counters.add(.closesByLastLeaver) }
      core.discharge(duty, of: handle)
    }
  }

  /// Counts an event without progress. So many of them in a row are reported once.
  @inline(never)
  private func noteSpin(of handle: FDHandle) {
    let count = core.table[handle.fd].eventsWithoutProgress
      .wrappingAdd(1, ordering: .relaxed).newValue
    if count == core.configuration.spinLimit {
      counters.add(.spinningDescriptors)
      core.configuration.logger.warning(
        "a descriptor gets event after event and its handler does nothing about it",
        metadata: ["loop": "\(name)", "descriptor": "\(core.describe(handle.fd))"])
    }
  }

  /// Says that the handler did something about its event. Byte operations of this package say it
  /// themselves; a handler that reads or writes by itself may, so that it is not reported as
  /// spinning. On the loop.
  public func noteProgress(of handle: FDHandle) {
    progress &+= 1
    if core.table[handle.fd].eventsWithoutProgress.load(ordering: .relaxed) != 0 {
      core.table[handle.fd].eventsWithoutProgress.store(0, ordering: .relaxed)
    }
  }

  /// Makes the kernel poller forget a descriptor if it is not this loop's now. It may have been
  /// taken away and back since the request was made, so only the word decides.
  func reconcile(_ handle: FDHandle) {
    if !owns(handle) { backend.remove(handle) }
  }

  /// Whether this loop is among the owners of that incarnation. On the loop.
  package func owns(_ handle: FDHandle) -> Bool {
    guard core.isCurrent(handle) else { return false }
    let state = core.table[handle.fd].ownership.state
    return state.group == bit.group && state.threads.contains(bit.mask)
  }
}

// MARK: - Stopping

extension EventLoop {
  /// First every descriptor goes; then, when none is left in the whole poller, the loop ends.
  private func advanceStop() {
    stage = .closing
    core.deleteAll(ownedBy: self)
    // A departure that is still to be told may insert nothing, but it may post.
    if core.liveDescriptors == 0 && deferred.isEmpty { stage = .ended }
  }

  /// What was posted before the mailbox closed is still done; what comes later is handed back.
  private func drainClosedMailbox() {
    var mail = mailbox.close()
    while let wish = mail.popFirst() { fulfil(wish) }
    while !deferred.isEmpty { runDeferred() }
  }

  /// Tasks that are told of the end, and what they defer. They may go on for ever.
  func runLeftovers(rounds: Int) {
    var left = rounds
    while left > 0 && !jobs.isEmpty || !deferred.isEmpty {
      left -= 1
      runJobs()
      runDeferred()
    }
  }

  /// Timers often refer to their loop, which would keep itself for ever.
  private func dropTimers() {
    var dropped = TimerWheel<TimerCall>(now: 0)
    swap(&timers, &dropped)
    for case .target(let target) in dropped.payloads { target.timerDropped() }
  }
}

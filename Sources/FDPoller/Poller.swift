import CShims
import FDOwnership
import Glibc
import Logging
import Synchronization
public import SystemPackage

/// Which loops own a descriptor.
public enum Placement: Sendable {
  /// One loop of the poller, chosen in turn.
  case any
  case loop(EventLoop)
  /// All of these, of one group: each may run the handler, at the same time too.
  case loops([EventLoop])
}

/// A multithreaded poller: threads with an event loop each, and the descriptors that they own.
///
/// Every descriptor belongs to one loop, or is shared by loops of one group. It can be taken over
/// by another loop, and is closed exactly once, whoever asks and whoever is inside at the time.
///
/// Callable from any thread, except where it says otherwise.
public final class Poller: Sendable {
  /// The loops, in the order of their index. They run between `start` and `stop`.
  public let loops: [EventLoop]
  package let core: PollerCore
  private let phase = Atomic(Phase.new)
  /// Written by the thread that starts, read by the one that stops; the phase is between them.
  private nonisolated(unsafe) var threads: [pthread_t] = []

  private enum Phase: UInt8, AtomicRepresentable {
    case new, starting, running, stopping, stopped
  }

  /// Makes the loops; no thread runs yet.
  ///
  /// - Throws: `PollerError.invalidConfiguration`, `ioUringUnavailable` if the configuration asks
  ///   for what cannot be had, or `kernelRefused` if a loop cannot have its descriptors.
  public init(_ configuration: PollerConfiguration = PollerConfiguration()) throws(PollerError) {
    let groups = try configuration.validated()
    core = PollerCore(configuration)
    loops = try Self.makeLoops(groups: groups, core)
    core.adopt(loops)
    fdp_watch_forks()
  }

  private static func makeLoops(
    groups: Int, _ core: PollerCore
  ) throws(PollerError) -> [EventLoop] {
    if core.configuration.io == .epoll { return try makeLoops(groups: groups, core, .epoll) }
    // The kernel remembers who has made a ring, and interrupts that thread when the ring is closed:
    // a call that the caller of this initializer is blocked in would then fail with EINTR, without
    // any signal.
    return try BriefThread.run(named: "fd-rings") { () throws(PollerError) in
      try makeLoopsAsCanBe(groups: groups, core)
    }
  }

  private static func makeLoopsAsCanBe(
    groups: Int, _ core: PollerCore
  ) throws(PollerError) -> [EventLoop] {
    let choice = try KernelPoller.Choice(for: core.configuration)
    do {
      return try makeLoops(groups: groups, core, choice)
    } catch .ioUringUnavailable(let reason) where core.configuration.io == .automatic {
      // There is less room for many rings than for the one that was tried.
      KernelPoller.Choice.logFallback(because: reason, core.configuration.logger)
      return try makeLoops(groups: groups, core, .epoll)
    }
  }

  private static func makeLoops(
    groups: Int, _ core: PollerCore, _ choice: KernelPoller.Choice
  ) throws(PollerError) -> [EventLoop] {
    var loops: [EventLoop] = []
    for index in 0..<core.configuration.threads {
      let bit = ThreadBit(group: index % groups + 1, index: index / groups)
      loops.append(try EventLoop(index: index, bit: bit, core: core, waitingWith: choice))
    }
    return loops
  }

  deinit {
    switch phase.load(ordering: .acquiring) {
    case .new: for loop in loops { loop.endWithoutThread() }
    case .stopped: break
    case .starting, .running, .stopping: preconditionFailure("stop a poller before it is dropped")
    }
  }

  /// Starts the threads. Descriptors can be inserted from now on; what `EventLoop.run` was given
  /// before is run.
  ///
  /// - Throws: `PollerError.kernelRefused` if a thread cannot be had; those that could are stopped again.
  public func start() throws(PollerError) {
    guard move(from: .new, to: .starting) else {
      throw .invalidConfiguration("a poller is started once")
    }
    for (index, loop) in loops.enumerated() {
      var thread = pthread_t()
      let context = Unmanaged.passRetained(loop)
      let result = fdp_thread_start(
        &thread, loop.name,
        { context in
          Unmanaged<EventLoop>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue()
            .runUntilStopped()
        }, context.toOpaque())
      guard result == 0 else {
        context.release()
        core.beginStop()
        for loop in loops[index...] { loop.endWithoutThread() }
        for loop in loops { loop.mailbox.parker.unpark() }
        for thread in threads { fdp_thread_join(thread) }
        phase.store(.stopped, ordering: .releasing)
        throw .kernelRefused("start a thread", Errno(rawValue: -result))
      }
      threads.append(thread)
    }
    // The loops have waited for this: only now is it sure that each of them has a thread.
    core.beginRun()
    for loop in loops { loop.mailbox.parker.unpark() }
    phase.store(.running, ordering: .releasing)
  }

  /// Starts the poller, unless somebody has done so before.
  package func startIfNew() throws(PollerError) {
    if phase.load(ordering: .acquiring) == .new { try start() }
  }

  private func move(from before: Phase, to after: Phase) -> Bool {
    phase.compareExchange(expected: before, desired: after, ordering: .acquiringAndReleasing)
      .exchanged
  }

  /// Stops the poller: refuses inserts, deletes every descriptor, lets the loops finish what is in
  /// their mailboxes, and ends the threads. A call during a stop waits for it too, one after it
  /// returns at once. Not callable from a loop.
  ///
  /// Connections are closed, not drained: drain first. A poller that was never started only drops
  /// what its mailboxes hold.
  ///
  /// - Parameter deadline: how long to wait for handlers that are still running.
  /// - Throws: `PollerError.stopTimedOut` with what is still there. The stop goes on, and can be
  ///   waited for again.
  public func stop(deadline: Duration = .seconds(30)) throws(PollerError) {
    precondition(
      EventLoop.current.map { $0.core !== core } ?? true, "a loop cannot wait for its own end")
    let end = EventLoop.clock() + deadline.wholeNanoseconds
    let ticksBefore = core.loops.map(\.ticks)
    while true {
      switch phase.load(ordering: .acquiring) {
      case .stopped:
        return
      case .new where move(from: .new, to: .stopped):
        for loop in loops { loop.endWithoutThread() }
        return
      case .running where move(from: .running, to: .stopping):
        core.beginStop()
        for loop in loops { loop.mailbox.parker.unpark() }
        join()
      case .new, .starting, .running, .stopping:
        break
      }
      guard EventLoop.clock() < end else {
        throw .stopTimedOut(remaining: core.remaining(ticksBefore: ticksBefore))
      }
      usleep(500)
    }
  }

  /// Joins on a thread of its own, since a join has no deadline.
  private func join() {
    let joiner = Joiner(poller: self)
    var thread = pthread_t()
    let context = Unmanaged.passRetained(joiner)
    let result = fdp_thread_start(
      &thread, "fd-stop",
      { context in
        Unmanaged<Joiner>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().join()
      }, context.toOpaque())
    if result == 0 {
      pthread_detach(thread)
    } else {
      context.release()
      joiner.join()
    }
  }

  private final class Joiner {
    let poller: Poller

    init(poller: Poller) { self.poller = poller }

    func join() {
      for thread in poller.threads { fdp_thread_join(thread) }
      poller.phase.store(.stopped, ordering: .releasing)
    }
  }
}

// MARK: - Descriptors

extension Poller {
  /// Raises the process's soft limit of open descriptors (RLIMIT_NOFILE, getrlimit(2)), as far as
  /// its hard limit allows. A poller sizes its table by the limit that it finds when it is made, so
  /// this comes first.
  ///
  /// - Parameter wanted: descriptors; a limit that is higher already stays.
  /// - Returns: the limit that holds from here on.
  public static func raiseDescriptorLimit(to wanted: Int) -> Int {
    Int(clamping: fdp_raise_descriptor_limit(UInt64(max(0, wanted))))
  }

  /// Takes a descriptor in: from here on it is the poller's, which closes it.
  ///
  /// Sockets and pipes have to be non-blocking.
  ///
  /// - Parameters:
  ///   - descriptor: open; the caller does not close it, and forgets its number, which may change
  ///     with `.fresh`.
  ///   - handler: retained until its `departed` has returned.
  ///   - placement: which loops own it.
  ///   - interest: what to be told of. The kernel is told soon, on each of those loops.
  ///   - options: see `InsertOptions`.
  /// - Returns: the handle by which the descriptor is spoken of.
  /// - Throws: `numberTooLarge`, `occupied`, `invalidPlacement`, `notRunning`, `forked`, or
  ///   `kernelRefused`; the descriptor is then still the caller's.
  @discardableResult
  public func insert(
    _ descriptor: FileDescriptor, handler: DescriptorHandler, on placement: Placement = .any,
    wanting interest: Interest = .read, options: InsertOptions = []
  ) throws(PollerError) -> FDHandle {
    let loops: [EventLoop] =
      switch placement {
      case .any: [core.anyLoop()]
      case .loop(let loop): [loop]
      case .loops(let loops): loops
      }
    return try core.insert(
      descriptor.rawValue, handler, into: loops, wanting: interest, options)
  }

  /// Wants to be told of more, on every loop that owns the descriptor: takes effect when that loop
  /// reads its mail.
  public func want(_ interest: Interest, _ handle: FDHandle) {
    core.change(handle, adding: interest, removing: [])
  }

  /// Wants to be told of less, on every loop that owns the descriptor: takes effect when that loop
  /// reads its mail. Events may come until then.
  public func stop(_ interest: Interest, _ handle: FDHandle) {
    core.change(handle, adding: [], removing: interest)
  }

  /// Closes a descriptor, once: when this returns nobody enters its handler any more; if nobody is
  /// inside the descriptor is closed by its home loop, otherwise when the last thread has left.
  ///
  /// - Returns: false if it was gone already, which does no harm.
  @discardableResult
  public func delete(_ handle: FDHandle) -> Bool { core.delete(handle) }

  /// As `delete(_:)`, but the descriptor leaves the poller open: the handler's `departed` gets it
  /// when every loop has forgotten it. Not for the descriptor of a connection: what its loop has
  /// received and not delivered, or taken and not sent, would be lost.
  @discardableResult
  public func disown(_ handle: FDHandle) -> Bool { core.disown(handle) }
}

// MARK: - Looking at it

extension Poller {
  /// The counters of all loops.
  public func snapshot() -> PollerSnapshot {
    PollerSnapshot(
      loops: loops.map { $0.counters.snapshot(name: $0.name) },
      outside: core.outside.snapshot(name: "outside"),
      liveDescriptors: core.liveDescriptors)
  }

  /// What the loops wait with: not `automatic`.
  public var io: IOBackend { loops[0].backend.uring == nil ? .epoll : .uring }

  /// The slot of a descriptor number in words: its state, masks, home loop, and whether it is
  /// parked.
  public func describe(_ descriptor: FileDescriptor) -> String {
    core.describe(descriptor.rawValue)
  }
}

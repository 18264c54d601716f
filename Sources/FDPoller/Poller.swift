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
  private let life = Mutex(Life.new)

  private enum Life {
    case new
    case running([pthread_t])
    case stopping
    case stopped
  }

  /// Makes the loops; no thread runs yet.
  ///
  /// - Throws: `PollerError.invalidConfiguration`, or `kernelRefused` if a loop cannot have its
  ///   descriptors.
  public init(_ configuration: PollerConfiguration = PollerConfiguration()) throws(PollerError) {
    let groups = try configuration.validated()
    let core = PollerCore(configuration)
    var loops: [EventLoop] = []
    for index in 0..<configuration.threads {
      let bit = ThreadBit(group: index % groups + 1, index: index / groups)
      loops.append(try EventLoop(index: index, bit: bit, core: core))
    }
    core.adopt(loops)
    self.core = core
    self.loops = loops
    fdp_watch_forks()
  }

  deinit {
    life.withLock { life in
      switch life {
      case .new, .stopped: break
      case .running, .stopping: preconditionFailure("stop a poller before it is dropped")
      }
    }
  }

  /// Starts the threads.
  ///
  /// - Throws: `PollerError.kernelRefused` if a thread cannot be had; those that could are stopped
  ///   again.
  public func start() throws(PollerError) {
    let failure: PollerError? = life.withLock { life in
      guard case .new = life else { return .invalidConfiguration("a poller is started once") }
      var threads: [pthread_t] = []
      for loop in loops {
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
          for loop in loops { loop.mailbox.parker.unpark() }
          for thread in threads { fdp_thread_join(thread) }
          life = .stopped
          return .kernelRefused("start a thread", Errno(rawValue: -result))
        }
        threads.append(thread)
      }
      life = .running(threads)
      return nil
    }
    if let failure { throw failure }
  }

  /// Stops the poller: refuses inserts, deletes every descriptor, lets the loops finish what is in
  /// their mailboxes, and ends the threads. A call after the first returns at once. Not callable
  /// from a loop.
  ///
  /// Connections are closed, not drained: drain first.
  ///
  /// - Parameter deadline: how long to wait for handlers that are still running.
  /// - Throws: `PollerError.stopTimedOut` with what is still there. The stop goes on, and can be
  ///   waited for again.
  public func stop(deadline: Duration = .seconds(30)) throws(PollerError) {
    precondition(
      EventLoop.current.map { $0.core !== core } ?? true, "a loop cannot wait for its own end")
    let before = life.withLock { life in
      defer {
        switch life {
        case .new: life = .stopped
        case .running: life = .stopping
        case .stopping, .stopped: break
        }
      }
      return life
    }
    switch before {
    case .new, .stopped:
      return
    case .running(let threads):
      core.beginStop()
      for loop in loops { loop.mailbox.parker.unpark() }
      join(threads)
    case .stopping:
      break
    }
    try waitUntilStopped(deadline)
  }

  /// Joins on a thread of its own, since a join has no deadline.
  private func join(_ threads: [pthread_t]) {
    let joiner = Joiner(poller: self, threads: threads)
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
    let threads: [pthread_t]

    init(poller: Poller, threads: [pthread_t]) {
      self.poller = poller
      self.threads = threads
    }

    func join() {
      for thread in threads { fdp_thread_join(thread) }
      poller.life.withLock { $0 = .stopped }
    }
  }

  private func waitUntilStopped(_ deadline: Duration) throws(PollerError) {
    let end = EventLoop.clock() + deadline.wholeNanoseconds
    while true {
      let isStopped = life.withLock { life in
        if case .stopped = life { true } else { false }
      }
      if isStopped { return }
      guard EventLoop.clock() < end else { throw .stopTimedOut(remaining: core.remaining()) }
      usleep(500)
    }
  }
}

// MARK: - Descriptors

extension Poller {
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

  /// Wants to be told of more: takes effect when the owning loop reads its mail.
  public func want(_ interest: Interest, _ handle: FDHandle) {
    change(handle, adding: interest, removing: [])
  }

  /// Wants to be told of less: takes effect when the owning loop reads its mail. Events may come
  /// until then.
  public func stop(_ interest: Interest, _ handle: FDHandle) {
    change(handle, adding: [], removing: interest)
  }

  private func change(_ handle: FDHandle, adding: Interest, removing: Interest) {
    if let loop = EventLoop.current, loop.core === core {
      loop.change(handle, adding: adding, removing: removing)
    } else {
      core.forward(handle, adding, removing, from: nil)
    }
  }

  /// Closes a descriptor, once: when this returns nobody enters its handler any more; if nobody is
  /// inside the descriptor is closed by its home loop, otherwise when the last thread has left.
  ///
  /// - Returns: false if it was gone already, which does no harm.
  @discardableResult
  public func delete(_ handle: FDHandle) -> Bool { core.delete(handle) }

  /// As `delete(_:)`, but the descriptor leaves the poller open: the handler's `departed` gets it
  /// when every loop has forgotten it.
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

  /// The slot of a descriptor number in words: its state, masks, home loop, and whether it is
  /// parked.
  public func describe(_ descriptor: FileDescriptor) -> String {
    core.describe(descriptor.rawValue)
  }
}

import CShims
public import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// A stream socket on a loop: bytes in as they arrive, bytes out as fast as the peer takes them.
///
/// A connection is used on its loop only, from its handler's calls, a timer, or a closure given to
/// `loop.run`. It may move to another loop, by `move(to:)` or through a `ConnectionPool`; nothing
/// may hold on to its former loop then.
public final class Connection: DescriptorHandler, @unchecked Sendable {
  /// The loop that the connection runs on. Read on that loop, or while nothing can move it.
  public internal(set) var loop: EventLoop {
    get { loopReference.loop }
    set { loopReference = LoopReference(newValue) }
  }
  /// The descriptor. Stale once the connection is closed.
  @exclusivity(unchecked) public internal(set) var handle: FDHandle
  /// Its limits and deadlines.
  public let settings: ConnectionSettings

  @exclusivity(unchecked) var loopReference: LoopReference

  // The loop's thread is the only one in here, and no access to these properties lasts while other
  // code runs, so their exclusivity is not checked at run time: the checks made a third of an
  // echo's instructions.

  /// Nil before it is set up, while it rests in a pool, and after `closed`.
  @exclusivity(unchecked) var handler: (any ConnectionHandler)?
  @exclusivity(unchecked) var phase: Phase
  @exclusivity(unchecked) var input = Input.reading
  @exclusivity(unchecked) var outputState = Output.open
  /// Whether the handler takes what arrives. If not, the next input to come is left where it is, and
  /// reading pauses.
  @exclusivity(unchecked) private var wantsInput = true
  /// What was received last was not all that had come.
  @exclusivity(unchecked) private(set) var hasMoreInput = false
  /// The output has been above the high watermark, and has not fallen to the low one since.
  @exclusivity(unchecked) var isAboveWatermark = false
  @exclusivity(unchecked) var output = ByteQueue()
  @exclusivity(unchecked) var deadlines = Deadlines()
  var closeReason: CloseReason?
  /// Why there is no output any more, while input goes on.
  var outputError: Errno?
  var farewell = Farewell.early
  /// `move(to:)` was called, and it has neither arrived nor been refused.
  var isMoving = false
  /// What a connection has in addition while it is being made, and for good if it belongs to a
  /// pool.
  var companion: (any ConnectionCompanion)?

  enum Phase {
    /// connect(2) has not finished.
    case connecting
    case open
    /// In a pool: no user, nothing queued, takeable by any loop.
    case parked
    /// close() was called: output is flushed, then input discarded until the peer is done as well.
    case closing
    /// The descriptor is deleted; only `departed` is to come.
    case closed
  }

  enum Input {
    case reading
    case paused
    case ended
  }

  /// Whether `closed` has been called.
  enum Farewell {
    /// The poller is not done with the descriptor.
    case early
    /// There was no handler to call: the next one gets it.
    case owed
    case said
    /// Nobody is to be told.
    case unwanted
  }

  enum Output {
    case open
    /// To be shut down when everything queued is sent.
    case finishing
    case shut
  }

  init(loop: EventLoop, settings: ConnectionSettings, phase: Phase) {
    loopReference = LoopReference(loop)
    self.settings = settings
    self.phase = phase
    handle = FDHandle.none
    Self.live.add(1, ordering: .relaxed)
  }

  deinit {
    Self.live.subtract(1, ordering: .relaxed)
  }

  private static let live = Atomic(0)

  /// How many objects of this class there are, for ledgers that look for leaks. Callable from any
  /// thread.
  package static var liveCount: Int { live.load(ordering: .relaxed) }

  /// Hands the socket to the poller. On the loop.
  ///
  /// - Throws: what `EventLoop.insert` throws; the socket is then still the caller's.
  func insert(_ fd: Int32, _ options: InsertOptions = .stream) throws(PollerError) {
    let interest: Interest = phase == .connecting ? .write : .read
    handle = try loop.insert(
      FileDescriptor(rawValue: fd), handler: self, wanting: interest,
      options: options.union(.fresh))
    (deadlines.lastInput, deadlines.lastOutput) = (loop.tickTime, loop.tickTime)
    startDeadlines()
  }

  // MARK: Events

  /// How many full receives one event may make, for the sake of the others.
  private static var receivesPerEvent: Int { 4 }

  public override func ready(
    _ readiness: Readiness, of handle: FDHandle, on loop: EventLoop
  ) {
    switch phase {
    case .open, .closing:
      if readiness.mayWrite {
        advanceOutput()
        // A handler that is told of the drain may put the connection into its pool.
        guard phase == .open || phase == .closing else { return }
      }
      guard readiness.mayRead, input == .reading else { return }
      if !wantsInput && phase == .open { return pauseReading() }
      // Without a handler nobody would read: `setHandler` asks again.
      if handler == nil && phase == .open { return loop.stop(.read, handle) }
      receive(on: loop)
    case .connecting, .parked:
      companion?.ready(self, readiness)
    case .closed:
      break
    }
  }

  /// - Parameter loop: the connection's own, passed on because it need not be retained then.
  private func receive(on loop: EventLoop) {
    var receives = 0
    while receives < Self.receivesPerEvent {
      switch loop.receive(handle) {
      case .bytes(let bytes, let more):
        deadlines.lastInput = loop.tickTime
        hasMoreInput = if case .nothing = more { false } else { true }
        if phase == .open { handler?.received(bytes.bytes, on: self) }
        guard input == .reading, phase == .open || phase == .closing else { return }
        if !wantsInput && phase == .open { return }
        switch more {
        case .nothing: return
        case .atHand: break
        case .inKernel: receives += 1
        }
      case .end:
        return endInput()
      case .wouldBlock:
        return
      case .failed(let errno):
        return end(.failed(errno))
      }
    }
  }

  private func endInput() {
    input = .ended
    loop.stop(.read, handle)
    if let outputError { return end(.failed(outputError)) }
    if phase == .open { handler?.inputEnded(on: self) }
    finishIfDone()
  }

  /// The descriptor is gone, by this connection's doing or another's.
  public override func departed(_ handle: FDHandle, _ departure: Departure) {
    deadlines.cancel(on: loop)
    output.removeAll()
    phase = .closed
    let companion = companion
    let handler = handler
    self.companion = nil
    self.handler = nil
    companion?.departed(self)
    if farewell == .early { farewell = .owed }
    if let handler { sayFarewell(to: handler) }
  }

  func sayFarewell(to handler: any ConnectionHandler) {
    guard farewell != .unwanted else { return }
    farewell = .said
    handler.closed(self, closeReason ?? .deleted)
  }

  /// connect(2) has succeeded.
  func becomeOpen() {
    companion = nil
    phase = .open
    (deadlines.lastInput, deadlines.lastOutput) = (loop.tickTime, loop.tickTime)
    loop.stop(.write, handle)
    loop.want(.read, handle)
    // Its due time is that of the connect; whoever has connected should not be woken by it.
    deadlines.cancel(on: loop)
    startDeadlines()
  }

  /// A check-out has made the connection this loop's.
  func wake() {
    phase = .open
    input = .reading
    wantsInput = true
    (deadlines.lastInput, deadlines.lastOutput) = (loop.tickTime, loop.tickTime)
    startDeadlines()
  }

  /// Says whether the handler takes what arrives. On the loop.
  package func setWantsInput(_ wantsInput: Bool) {
    guard wantsInput != self.wantsInput else { return }
    self.wantsInput = wantsInput
    guard wantsInput, phase == .open, input == .reading else { return }
    // Only from here on the peer is waited for.
    deadlines.lastInput = loop.tickTime
    startDeadlines()
  }

  /// Whether the peer is expected to send.
  var awaitsInput: Bool { input == .reading && wantsInput }

  /// Brings what was written to the kernel, to be taken from here by somebody else.
  ///
  /// - Returns: whether nothing is queued, half closed, paused or under way.
  func comesToRest() -> Bool {
    phase == .open && input == .reading && outputState == .open && output.isEmpty && !isMoving
      && loop.sendAll(handle)
  }

  /// Whether the kernel has not taken all that was written. On the loop.
  package var hasOutput: Bool { !output.isEmpty || loop.queuedOutput(of: handle) > 0 }

  /// When the peer, or the kernel for it, last took something that was written, in nanoseconds on
  /// the loop's clock. On the loop.
  package var lastOutputTime: UInt64 { deadlines.lastOutput }

  // MARK: Ending

  public override func retire() { phase = .closed }

  /// Deletes the descriptor; `closed` comes when the poller has done it.
  func end(_ reason: CloseReason) {
    guard phase != .closed else { return }
    phase = .closed
    closeReason = reason
    deadlines.cancel(on: loop)
    // Another thread may have deleted it just before, and was told so.
    if !loop.delete(handle) { closeReason = .deleted }
  }

  /// Both directions are finished: there is nothing left to do.
  private func finishIfDone() {
    if phase != .closed && input == .ended && outputState == .shut { end(.finished) }
  }

  // MARK: Output

  @inline(__always)
  func send(_ bytes: UnsafeRawBufferPointer, on loop: EventLoop) -> IOResult {
    deadlines.lastOutput = loop.tickTime
    return loop.send(handle, bytes)
  }

  /// The socket takes more, or never will.
  @inline(__always)
  private func advanceOutput() {
    // The peer has taken something, even if there is no room yet for more.
    deadlines.lastOutput = loop.tickTime
    if let errno = loop.outputFailure(of: handle) {
      failOutput(errno)
    } else if !output.isEmpty {
      flush()
    } else if outputState == .finishing {
      loop.stop(.write, handle)
      shutDown()
    }
  }

  /// Sends what is queued, which is something, as far as the socket takes it.
  private func flush() {
    switch loop.send(handle, output.bytes) {
    case .done(let count):
      output.removeFirst(count)
      deadlines.lastOutput = loop.tickTime
    case .wouldBlock:
      return
    case .failed(let errno):
      return failOutput(errno)
    }
    if output.isEmpty {
      loop.stop(.write, handle)
      if outputState == .finishing { shutDown() }
    }
    noteDrain()
  }

  /// The peer takes nothing any more. What it has said before is still to be read, and its end comes
  /// with that: a server that refuses a request before it has all of it says so, and resets.
  func failOutput(_ errno: Errno) {
    // Who has paused does not hear it; who just does not read at the moment will.
    let isHeard = input == .reading || input == .paused && !wantsInput
    guard phase == .open, isHeard, handler != nil else { return end(.failed(errno)) }
    guard outputError == nil else { return }
    outputError = errno
    outputState = .shut
    output.removeAll()
    loop.stop(.write, handle)
    // A peer that goes on for ever without listening is let go of.
    deadlines.closeBegan = EventLoop.clock()
    startDeadlines()
    // Whoever waits for room waits for nothing. Never from within a `write`: with output above the
    // watermark those send nothing.
    noteDrain()
  }

  private func noteDrain() {
    if isAboveWatermark && output.count <= settings.lowWatermark {
      isAboveWatermark = false
      if phase == .open { handler?.drained(self) }
    }
  }

  /// Nothing is queued.
  func shutDown() {
    // What the loop has taken may have to go first.
    guard loop.shutDownOutput(handle) != .wouldBlock else { return loop.want(.write, handle) }
    // ENOTCONN: the peer has reset the connection, which the next receive tells.
    outputState = .shut
    finishIfDone()
  }
}

/// What accompanies a connection: its making, or the pool that it belongs to.
protocol ConnectionCompanion: AnyObject {
  func ready(_ connection: Connection, _ readiness: Readiness)
  func timedOut(_ connection: Connection)
  func departed(_ connection: Connection)
}

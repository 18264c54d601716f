import FDNet
import FDPoller
import SystemPackage

/// One end of a connection with deadlines of milliseconds, which does something at about the time at
/// which they pass, and knows why it may end.
final class TimedEnd: Endpoint, @unchecked Sendable {
  private let clockwork: Clockwork
  private let settings: ConnectionSettings
  private let isClient: Bool
  private var stream: IdentityStream
  private var timer: TimerID?

  // What it has done: the reasons for which it may end.
  private var isPaused = false
  private var hasClosed = false
  private var hasAborted = false
  private var isOver = false
  /// Never later than what the connection counts from.
  private var lastInput: UInt64
  private var lastOutput: UInt64
  private var closeBegan: UInt64 = 0

  /// - Parameter identity: 0 if the first word tells.
  init(_ clockwork: Clockwork, _ connection: Connection, identity: UInt64) {
    self.clockwork = clockwork
    settings = connection.settings
    isClient = identity != 0
    stream = IdentityStream(identity)
    (lastInput, lastOutput) = (connection.loop.tickTime, connection.loop.tickTime)
    super.init(clockwork.ledgers, of: connection)
    if isClient { write(1, to: connection) }
    scheduleAct(connection)
  }

  private func random(_ loop: EventLoop) -> UInt64 { clockwork.randoms.next(on: loop) }

  // MARK: What it does

  private func scheduleAct(_ connection: Connection) {
    let loop = connection.loop
    timer = loop.schedule(after: .microseconds(random(loop) % 12_000)) { [self] in
      timer = nil
      act(connection)
    }
  }

  private func act(_ connection: Connection) {
    guard !isOver else { return }
    clockwork.operations.add()
    // A connection that waits for nobody has no deadline.
    guard stage.isStormy || isPaused else { return scheduleAct(connection) }
    let choice = random(connection.loop)
    switch stage.isStormy ? choice % 32 : 16 {
    case 0..<14: write(1, to: connection)
    // More than a Unix socket takes at once.
    case 14: write(32 << 10, to: connection)
    case 15: pause(connection)
    case 16..<20: resume(connection)
    case 20..<27: return move(connection, choice >> 32)
    case 27: close(connection)
    case 28: connection.finishOutput()
    case 29: abort(connection)
    default: break
    }
    if !isOver { scheduleAct(connection) }
  }

  private func write(_ words: Int, to connection: Connection) {
    guard stream.identity != 0, connection.isWritable else { return }
    let wasEmpty = connection.queuedOutput == 0
    let now = connection.loop.tickTime
    let result = [UInt64](repeating: stream.identity, count: words).withUnsafeBytes {
      connection.write($0)
    }
    // What waits behind something else is not sent now.
    if wasEmpty && result != .refused { lastOutput = now }
  }

  private func pause(_ connection: Connection) {
    guard !connection.isClosing else { return }
    isPaused = true
    connection.pauseReading()
  }

  private func resume(_ connection: Connection) {
    guard isPaused, !connection.isClosing else { return }
    isPaused = false
    lastInput = connection.loop.tickTime
    connection.resumeReading()
  }

  private func close(_ connection: Connection) {
    guard !hasClosed, !connection.isClosing else { return }
    hasClosed = true
    closeBegan = EventLoop.clock()
    connection.close()
  }

  private func abort(_ connection: Connection) {
    hasAborted = true
    connection.abort()
  }

  private func move(_ connection: Connection, _ choice: UInt64) {
    let loops = clockwork.poller.loops
    connection.move(to: loops[Int(choice % UInt64(loops.count))]) { [self] _ in
      // On the loop that it is on now, moved or not.
      if !isOver { scheduleAct(connection) }
    }
  }

  // MARK: What it is told

  override func take(_ bytes: RawSpan, on connection: Connection) {
    lastInput = connection.loop.tickTime
    if isPaused { violate("a connection that is paused receives nothing", "it has") }
    if let wrong = stream.firstWrong(in: bytes) {
      violate("bytes stay on their connection", "\(stream.identity) has got \(wrong)")
    }
  }

  override func inputHasEnded(on connection: Connection) { close(connection) }

  override func hasClosed(_ connection: Connection, _ reason: CloseReason) {
    isOver = true
    if let timer { connection.loop.cancel(timer) }
    timer = nil
    if let fault = fault(of: reason) { violate("a connection ends for a reason", fault) }
    if isClient { clockwork.connectLater(on: connection.loop) }
  }

  // MARK: Why it may end

  /// - Returns: why that cannot be; nil if it can.
  private func fault(of reason: CloseReason) -> String? {
    switch reason {
    case .finished: hasClosed ? nil : "finished, and nobody has closed it"
    case .aborted: hasAborted ? nil : "aborted, and nobody has"
    case .deleted: "deleted, and nobody has"
    case .failed(.connectionReset), .failed(.brokenPipe): nil
    case .failed(let errno): "failed with \(errno)"
    case .timedOut(let deadline): fault(of: deadline)
    }
  }

  private func fault(of deadline: ConnectionDeadline) -> String? {
    clockwork.timeouts.add()
    switch deadline {
    case .idle:
      return early(deadline, settings.idleDeadline, since: max(lastInput, lastOutput))
    case .read:
      if isPaused { return "the peer's silence ended it while nothing was asked of the peer" }
      return early(deadline, settings.readDeadline, since: lastInput)
    case .write:
      return early(deadline, settings.writeDeadline, since: lastOutput)
    case .drain:
      if !hasClosed { return "a close has not come to its end, and nobody has closed it" }
      return early(deadline, settings.drainDeadline, since: closeBegan)
    }
  }

  private func early(
    _ deadline: ConnectionDeadline, _ limit: Duration?, since: UInt64
  ) -> String? {
    guard let limit else { return "\(deadline) has passed, and there is none" }
    if hasClosed && deadline != .drain { return "\(deadline) has passed after the close" }
    let time = EventLoop.clock() - since
    return time >= limit.wholeNanoseconds
      ? nil : "\(deadline) has passed after \(time / 1_000) us of \(limit)"
  }
}

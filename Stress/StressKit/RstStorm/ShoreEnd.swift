import FDNet
import FDPoller
import SystemPackage

/// The server's end of a connection: it echoes, and does other things at times of its own.
final class ShoreEnd: Endpoint, @unchecked Sendable {
  private let shore: Shore
  private var stream = IdentityStream()
  private var timer: TimerID?
  private var inputIsOver = false
  private var isPaused = false
  private var hasClosed = false
  private var hasAborted = false
  private var isOver = false

  init(_ shore: Shore, _ connection: Connection) {
    self.shore = shore
    super.init(shore.ledgers, of: connection)
    scheduleAct(connection)
  }

  private func random(_ loop: EventLoop) -> UInt64 { shore.randoms.next(on: loop) }

  private func scheduleAct(_ connection: Connection) {
    let loop = connection.loop
    timer = loop.schedule(after: .microseconds(random(loop) % 3_000)) { [self] in
      timer = nil
      act(connection)
    }
  }

  private func act(_ connection: Connection) {
    guard !isOver else { return }
    // Who reads nothing does not hear a reset.
    guard stage.isStormy else {
      if inputIsOver { close(connection) } else { resume(connection) }
      return scheduleAct(connection)
    }
    let choice = random(connection.loop)
    switch choice % 16 {
    case 0..<3: write(1, to: connection)
    case 3: write(8 << 10, to: connection)
    case 4: pause(connection)
    case 5..<8: resume(connection)
    case 8..<12: return move(connection, choice >> 32)
    case 12: connection.finishOutput()
    case 13: close(connection)
    case 14: abort(connection)
    default: break
    }
    if !isOver { scheduleAct(connection) }
  }

  private func write(_ words: Int, to connection: Connection) {
    guard stream.identity != 0, !connection.isCongested else { return }
    [UInt64](repeating: stream.identity, count: words).withUnsafeBytes {
      _ = connection.write($0)
    }
  }

  private func pause(_ connection: Connection) {
    isPaused = true
    connection.pauseReading()
  }

  private func resume(_ connection: Connection) {
    isPaused = false
    connection.resumeReading()
  }

  private func close(_ connection: Connection) {
    hasClosed = true
    connection.close()
  }

  private func abort(_ connection: Connection) {
    hasAborted = true
    connection.abort()
  }

  private func move(_ connection: Connection, _ choice: UInt64) {
    let loops = shore.poller.loops
    connection.move(to: loops[Int(choice % UInt64(loops.count))]) { [self] _ in
      // On the loop that it is on now, moved or not.
      if !isOver { scheduleAct(connection) }
    }
  }

  // MARK: What it is told

  override func take(_ bytes: RawSpan, on connection: Connection) {
    if isPaused { violate("a connection that is paused receives nothing", "it has") }
    if hasClosed { violate("a connection that is closed receives nothing", "it has") }
    if let wrong = stream.firstWrong(in: bytes) {
      return violate("bytes stay on their connection", "\(stream.identity) has got \(wrong)")
    }
    write(min(max(1, bytes.byteCount / 8), 64), to: connection)
  }

  override func inputHasEnded(on connection: Connection) {
    inputIsOver = true
    // Half of them keep their own direction open for a while.
    if random(connection.loop) % 2 == 0 || !stage.isStormy { close(connection) }
  }

  override func hasClosed(_ connection: Connection, _ reason: CloseReason) {
    isOver = true
    if let timer { connection.loop.cancel(timer) }
    timer = nil
    let isPossible: Bool
    switch reason {
    case .finished:
      shore.reasons.finished.add()
      isPossible = true
    case .aborted:
      shore.reasons.aborted.add()
      isPossible = hasAborted
    case .failed(.connectionReset):
      shore.reasons.resets.add()
      isPossible = true
    case .failed(.brokenPipe):
      shore.reasons.brokenPipes.add()
      isPossible = true
    case .timedOut(.drain): isPossible = hasClosed
    case .failed, .timedOut, .deleted: isPossible = false
    }
    if !isPossible { violate("a connection ends for a reason", "\(reason)") }
  }
}

import FDNet
import FDPoller

/// The two timers of a multiplexed connection: whether the peer takes what is written, and whether
/// it is there at all. They are the loop's own, so they fire however stuck the connection is. All on
/// the loop.
final class ConnectionWatch {
  private let sendTimeout: Duration
  private var heartbeat: Heartbeat?
  private var heartbeatTimer: TimerID?
  private var sendTimer: TimerID?

  init(_ settings: MultiplexedSettings) {
    sendTimeout = settings.sendTimeout
    heartbeat = settings.heartbeat.map { Heartbeat($0, now: EventLoop.clock()) }
  }

  /// The connection is on its loop.
  func start(_ core: MultiplexedCore) {
    awaitBeat(core)
    noteOutput(core)
  }

  /// The connection leaves its loop, or is over.
  func stop(_ core: MultiplexedCore) {
    let loop = core.connection.loop
    if let heartbeatTimer { loop.cancel(heartbeatTimer) }
    if let sendTimer { loop.cancel(sendTimer) }
    (heartbeatTimer, sendTimer) = (nil, nil)
  }

  private func delay(until due: UInt64) -> Duration {
    let now = EventLoop.clock()
    return .nanoseconds(Int64(clamping: due - min(due, now)))
  }

  // MARK: The peer

  @inline(__always)
  func heard(at now: UInt64) { heartbeat?.heard(at: now) }

  /// - Returns: how long the answer took.
  func answered(_ number: UInt64) -> Duration? {
    heartbeat?.answered(number, at: EventLoop.clock())
    return heartbeat?.roundTrip
  }

  private func awaitBeat(_ core: MultiplexedCore) {
    guard let due = heartbeat?.due else { return }
    heartbeatTimer = core.connection.loop.schedule(after: delay(until: due)) { self.beat(core) }
  }

  private func beat(_ core: MultiplexedCore) {
    heartbeatTimer = nil
    let action = heartbeat?.fire(at: EventLoop.clock())
    switch action {
    case .dead(let silence): return core.fail(.peerVanished(silence: silence))
    case .probe(let number): core.probe(number)
    case .wait, nil: break
    }
    if !core.isOver { awaitBeat(core) }
  }

  // MARK: The output

  /// Something has been written, and may wait for the peer.
  func noteOutput(_ core: MultiplexedCore) {
    guard sendTimer == nil, !core.isOver, core.connection.hasOutput else { return }
    let due = core.connection.lastOutputTime + sendTimeout.wholeNanoseconds
    sendTimer = core.connection.loop.schedule(after: delay(until: due)) { self.lookAtOutput(core) }
  }

  private func lookAtOutput(_ core: MultiplexedCore) {
    sendTimer = nil
    let due = core.connection.lastOutputTime + sendTimeout.wholeNanoseconds
    if core.connection.hasOutput, due <= EventLoop.clock() {
      core.fail(.sendTimedOut(sendTimeout))
    } else {
      noteOutput(core)
    }
  }
}

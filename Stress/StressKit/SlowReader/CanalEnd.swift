import FDNet
import FDPoller

/// What both ends of a connection have in common: they do something every now and then, on the loop
/// that the connection is on.
class CanalEnd: Endpoint, @unchecked Sendable {
  let canal: Canal
  private var timer: TimerID?
  private(set) var isOver = false

  init(_ canal: Canal, _ connection: Connection) {
    self.canal = canal
    super.init(canal.ledgers, of: connection)
  }

  func random(_ connection: Connection) -> UInt64 { canal.randoms.next(on: connection.loop) }

  func scheduleAct(_ connection: Connection) {
    timer = connection.loop.schedule(after: .microseconds(random(connection) % 3_000)) {
      [self] in
      timer = nil
      guard !isOver else { return }
      if random(connection) % 8 == 0 { return move(connection) }
      act(on: connection)
      if !isOver { scheduleAct(connection) }
    }
  }

  /// Every now and then.
  func act(on connection: Connection) {}

  private func move(_ connection: Connection) {
    let loops = canal.poller.loops
    let destination = loops[Int(random(connection) % UInt64(loops.count))]
    connection.move(to: destination) { [self] _ in
      // On the loop that it is on now, moved or not.
      if !isOver { scheduleAct(connection) }
    }
  }

  override func hasClosed(_ connection: Connection, _ reason: CloseReason) {
    isOver = true
    if let timer { connection.loop.cancel(timer) }
    timer = nil
    if reason != .finished { violate("a connection ends in order", "\(reason)") }
  }
}

import FDNet
import FDPoller

/// Writes until it is told to pause, and goes on when it is told that the output has drained.
final class SendingEnd: CanalEnd, @unchecked Sendable {
  private let identity: UInt64
  private let total: Int
  private var count = 0
  /// It was told to pause, and has not been told to go on.
  private var isAbove = false

  private static let writesPerTurn = 8

  init(_ canal: Canal, _ connection: Connection, identity: UInt64, total: Int) {
    self.identity = identity
    self.total = total
    super.init(canal, connection)
  }

  func begin(on connection: Connection) {
    write(to: connection)
    scheduleAct(connection)
  }

  override func act(on connection: Connection) {
    if !isAbove { write(to: connection) }
  }

  private func write(to connection: Connection) {
    for _ in 0..<Self.writesPerTurn {
      guard count < total, connection.isWritable else { return }
      let words = min(total - count, 1 + Int(random(connection) % 2_048))
      let result = (count..<count + words).map {
        CountedStream.word($0, of: identity, total: total)
      }.withUnsafeBytes { connection.write($0) }
      count += words
      canal.operations.add()
      canal.heartbeat.beat()
      check(result, wrote: words * 8, on: connection)
      if count == total { connection.finishOutput() }
      if isAbove { return }
    }
  }

  private func check(_ result: WriteResult, wrote bytes: Int, on connection: Connection) {
    let queued = connection.queuedOutput
    let high = connection.settings.highWatermark
    if queued > high + bytes {
      violate(
        "no more is queued than the high watermark and one write",
        "\(queued) bytes with a watermark of \(high) and a write of \(bytes)")
    }
    switch result {
    case .sent:
      if queued != 0 { violate("what is sent is not queued", "\(queued) bytes are") }
    case .queued:
      if queued == 0 || queued > high {
        violate("what is queued is below the watermark", "\(queued) bytes of \(high)")
      }
    case .queuedAboveWatermark:
      isAbove = true
      canal.excursions.add()
      if queued <= high || !connection.isCongested {
        violate("what is above the watermark is", "\(queued) bytes of \(high)")
      }
    case .refused:
      violate("who reads to the end is written to", "after \(count) of \(total) words")
    }
  }

  override func hasDrained(_ connection: Connection) {
    let queued = connection.queuedOutput
    if !isAbove {
      violate("drained comes once for each time above the watermark", "it comes unasked")
    }
    if connection.isCongested || queued > connection.settings.lowWatermark {
      violate(
        "drained comes when the output is at the low watermark",
        "\(queued) bytes of \(connection.settings.lowWatermark)")
    }
    isAbove = false
    write(to: connection)
  }

  override func take(_ bytes: RawSpan, on connection: Connection) {
    violate("bytes stay on their connection", "a sender has got \(bytes.byteCount)")
  }

  override func hasClosed(_ connection: Connection, _ reason: CloseReason) {
    super.hasClosed(connection, reason)
    if isAbove {
      violate("drained comes once for each time above the watermark", "it never came")
    }
    if count < total { violate("who reads to the end is written to", "\(count) of \(total) words") }
    canal.sessions.close()
    let loop = connection.loop
    loop.defer { [canal] in canal.beginSession(on: loop) }
  }
}

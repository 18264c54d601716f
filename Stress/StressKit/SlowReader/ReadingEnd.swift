import FDNet
import FDPoller

/// Reads for a while, and then does not.
final class ReadingEnd: CanalEnd, @unchecked Sendable {
  private var stream = CountedStream()
  private var isPaused = false

  override init(_ canal: Canal, _ connection: Connection) {
    super.init(canal, connection)
    scheduleAct(connection)
  }

  override func act(on connection: Connection) {
    guard !connection.isClosing else { return }
    isPaused = stage.isStormy && random(connection) % 2 == 0
    if isPaused { connection.pauseReading() } else { connection.resumeReading() }
  }

  override func take(_ bytes: RawSpan, on connection: Connection) {
    canal.heartbeat.beat()
    canal.bytesRead.add(bytes.byteCount)
    if isPaused { violate("a connection that is paused receives nothing", "it has") }
    if let fault = stream.fault(in: bytes) { violate("every byte comes, once, in order", fault) }
    if random(connection) % 4 == 0 { act(on: connection) }
  }

  override func inputHasEnded(on connection: Connection) {
    if !stream.isComplete {
      violate(
        "every byte comes, once, in order",
        "connection \(stream.identity) ends after \(stream.count) of \(stream.total) words")
    }
    connection.close()
  }
}

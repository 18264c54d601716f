import FDNet
import FDPoller
import TestKit

/// A server of a test's own, for a proxy to forward to.
final class Origin {
  /// How it treats a client.
  enum Manner: Sendable {
    /// Sends everything back, and ends when the client ends.
    case echo
    /// Says the text first, then echoes.
    case greet(String)
    /// Says the text and ends its output, but goes on reading.
    case greetAndFinish(String)
    /// Reads and never answers.
    case silent
    /// Answers with so many bytes when the client has ended its output.
    case answerAtEnd(Int)
    /// Resets the client when it has sent something.
    case reset
    /// Sends a byte so many times, a tenth of a second apart, then ends.
    case drip(Int)
  }

  private let poller: Poller
  private let listener: Listener
  let record = Record()

  var address: String { "\(listener.address)" }

  /// What has happened to the clients.
  final class Record: Sendable {
    let accepted = Tally()
    let received = Tally()
    let ends = Guarded<[CloseReason]>([])
  }

  init(_ manner: Manner, at address: SocketAddress = .loopback(port: 0)) throws {
    poller = try Poller()
    try poller.start()
    let record = record
    do {
      listener = try Listener(address, on: poller) { connection in
        record.accepted.add()
        let client = OriginClient(manner, record)
        // After the listener has made it the connection's handler.
        connection.loop.schedule(after: .zero) { client.begin(connection) }
        return client
      }
    } catch {
      try poller.stop()
      throw error
    }
  }

  func stop() {
    listener.close()
    try? poller.stop()
  }
}

private final class OriginClient: ConnectionHandler {
  private let manner: Origin.Manner
  private let record: Origin.Record

  init(_ manner: Origin.Manner, _ record: Origin.Record) {
    self.manner = manner
    self.record = record
  }

  func begin(_ connection: Connection) {
    switch manner {
    case .greet(let text): say(text, connection)
    case .greetAndFinish(let text):
      say(text, connection)
      connection.finishOutput()
    case .drip(let count): drip(count, connection)
    case .echo, .silent, .answerAtEnd, .reset: break
    }
  }

  private func say(_ text: String, _ connection: Connection) {
    Array(text.utf8).withUnsafeBytes { _ = connection.write($0) }
  }

  private func drip(_ count: Int, _ connection: Connection) {
    guard count > 0 else { return connection.finishOutput() }
    say(".", connection)
    connection.loop.schedule(after: .milliseconds(100)) { self.drip(count - 1, connection) }
  }

  func received(_ bytes: RawSpan, on connection: Connection) {
    record.received.add(bytes.byteCount)
    switch manner {
    case .echo, .greet:
      if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
    case .reset: connection.abort()
    case .silent, .answerAtEnd, .greetAndFinish, .drip: break
    }
  }

  func drained(_ connection: Connection) { connection.resumeReading() }

  func inputEnded(on connection: Connection) {
    if case .answerAtEnd(let count) = manner {
      [UInt8](repeating: 0x2a, count: count).withUnsafeBytes { _ = connection.write($0) }
    }
    connection.finishOutput()
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    record.ends.withLock { $0.append(reason) }
  }
}

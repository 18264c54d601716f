import FDPoller
import TestKit
import Testing

@testable import FDNet

/// A connection's handler that writes down what it is told, and complains if it is told on the wrong
/// thread, twice at once, or after `closed`.
///
/// Set the hooks before the connection gets it; they run on the loop.
final class Recorder: ConnectionHandler, @unchecked Sendable {
  struct Log: Sendable {
    var bytes: [UInt8] = []
    var receives = 0
    var inputEnds = 0
    var drains = 0
    /// The loops that it was told of by `moved`.
    var moves: [Int] = []
    var closes: [CloseReason] = []
  }

  var onReceived: (RawSpan, Connection) -> Void = { _, _ in }
  /// As the default of the protocol.
  var onInputEnded: (Connection) -> Void = { $0.close() }
  var onDrained: (Connection) -> Void = { _ in }
  var onMoved: (Connection) -> Void = { _ in }
  var onClosed: (Connection, CloseReason) -> Void = { _, _ in }

  private let content = Guarded(Log())
  private let isInside = Guarded(false)
  private let object = LiveObject()

  var log: Log { content.value }
  var bytes: [UInt8] { content.value.bytes }
  var isClosed: Bool { content.withLock { !$0.closes.isEmpty } }

  /// Keeps the connection open when its input has ended.
  static func keepingOpen() -> Recorder {
    let recorder = Recorder()
    recorder.onInputEnded = { _ in }
    return recorder
  }

  /// Sends back what it gets.
  static func echo() -> Recorder {
    let recorder = Recorder()
    recorder.onReceived = { bytes, connection in
      if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
    }
    recorder.onDrained = { $0.resumeReading() }
    return recorder
  }

  private func told(_ connection: Connection, _ note: (inout Log) -> Void, then: () -> Void) {
    if !connection.loop.isCurrent { Issue.record("a handler is told on a foreign thread") }
    if isInside.withLock({ inside in
      defer { inside = true }
      return inside
    }) {
      Issue.record("a handler is told while it is being told")
    }
    content.withLock {
      if !$0.closes.isEmpty { Issue.record("a handler is told after closed") }
      note(&$0)
    }
    then()
    isInside.value = false
  }

  func received(_ bytes: RawSpan, on connection: Connection) {
    if bytes.byteCount == 0 { Issue.record("nothing was received") }
    told(
      connection,
      { log in
        bytes.withUnsafeBytes { log.bytes.append(contentsOf: $0) }
        log.receives += 1
      }, then: { onReceived(bytes, connection) })
  }

  func inputEnded(on connection: Connection) {
    told(connection, { $0.inputEnds += 1 }, then: { onInputEnded(connection) })
  }

  func drained(_ connection: Connection) {
    told(connection, { $0.drains += 1 }, then: { onDrained(connection) })
  }

  func moved(_ connection: Connection) {
    let index = connection.loop.index
    told(connection, { $0.moves.append(index) }, then: { onMoved(connection) })
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    told(connection, { $0.closes.append(reason) }, then: { onClosed(connection, reason) })
    // What the hooks refer to may refer to this.
    (onReceived, onInputEnded, onDrained) = ({ _, _ in }, { _ in }, { _ in })
    (onMoved, onClosed) = ({ _ in }, { _, _ in })
  }
}

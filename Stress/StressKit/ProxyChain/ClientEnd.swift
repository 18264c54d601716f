import FDDelays
import FDNet
import FDPoller
import SystemPackage

/// The client's end of a connection, for the length of one attempt.
final class ClientEnd: Endpoint {
  private enum Phase {
    case waiting
    case answered
    /// Closed, or closing.
    case over
  }

  private let exchange: Exchange
  private let attempt: UInt64
  private let isReused: Bool
  private let link: UInt64
  private var phase = Phase.waiting
  private var reader = ChainReader()

  init(_ exchange: Exchange, on connection: Connection, attempt: UInt64, isReused: Bool) {
    self.exchange = exchange
    self.attempt = attempt
    self.isReused = isReused
    link = connection.handle.rawValue
    super.init(exchange.chain.ledgers, of: connection)
  }

  private var chain: Chain { exchange.chain }

  func send(on connection: Connection) {
    let message = ChainMessage(
      kind: .request, hops: exchange.hops, request: exchange.request, attempt: attempt, link: link,
      content: exchange.content)
    // A server that has closed the connection is heard of by `closed`.
    _ = message.withBytes { connection.write($0) }
  }

  override func take(_ bytes: RawSpan, on connection: Connection) {
    var start = 0
    while let result = reader.next(in: bytes, from: &start) {
      switch result {
      case .message(let message): take(message, on: connection)
      case .garbage(let word): return violate("messages stay whole", "\(word) is none")
      }
    }
  }

  private func take(_ message: ChainMessage, on connection: Connection) {
    guard message.link == link else {
      return violate("bytes stay on their connection", "it has got an \(message)")
    }
    switch message.kind {
    case .notice:
      break
    case .answer, .failure:
      guard message.request == exchange.request, message.attempt == attempt, phase == .waiting
      else {
        return violate(
          "nobody gets another's bytes",
          "request \(exchange.request), attempt \(attempt), \(phase), has got an \(message)")
      }
      phase = .answered
      giveBackSoon(connection)
      exchange.finish(message.kind == .answer ? message.content : nil)
    case .request:
      violate("nobody gets another's bytes", "a client has got a \(message)")
    }
  }

  /// Within the handler no thief can have it yet, outside of it at once.
  private func giveBackSoon(_ connection: Connection) {
    guard chain.random(on: exchange.loop) % 4 != 0 else { return checkIn(connection) }
    exchange.loop.defer { [self] in if phase == .answered { checkIn(connection) } }
  }

  private func checkIn(_ connection: Connection) {
    Chronicle.note("checked in", link)
    phase = .over
    chain.logbook.noteStay(connection.handle, on: exchange.loop)
    giveBack()
    if chain.pool.checkIn(connection) { chain.counts.kept.add() }
  }

  override func inputHasEnded(on connection: Connection) {
    connection.close()
    endBeforeAnswer("its server has closed it")
  }

  override func hasClosed(_ connection: Connection, _ reason: CloseReason) {
    if reason == .deleted {
      violate(
        "what is checked out nobody else closes",
        "request \(exchange.request), \(phase), has lost its connection")
    }
    endBeforeAnswer("\(reason)")
  }

  private func endBeforeAnswer(_ cause: @autoclosure () -> String) {
    let before = phase
    phase = .over
    guard before == .waiting else { return }
    if !isReused || reader.isAmid {
      violate(
        "only an idle connection is closed before it answers",
        "request \(exchange.request), \(isReused ? "amid its answer" : "a new one"): \(cause())")
    }
    exchange.tryAgain()
  }
}

import CShims
import FDNet
import FDPoller
import Glibc

/// The server's end of a connection: it answers, or passes on, one request after the other, and
/// closes the connection at random while nothing is asked of it.
final class ServerEnd: Endpoint {
  private let chain: Chain
  private let isLocal: Bool
  /// The handle of the client's end; 0 before the first request.
  private var link: UInt64 = 0
  private var reader = ChainReader()
  private var isBusy = false
  /// How many requests have come.
  private var visits = 0
  private var hasNoticed = false

  init(_ chain: Chain, _ connection: Connection, isLocal: Bool) {
    self.chain = chain
    self.isLocal = isLocal
    super.init(chain.ledgers, of: connection)
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
    if link == 0 { link = message.link }
    guard message.link == link, message.kind == .request else {
      return violate(
        "bytes stay on their connection",
        "the server of \(FDHandle(rawValue: link)) has got an \(message)")
    }
    if isBusy { violate("one request at a time on a connection", "\(message)") }
    isBusy = true
    visits += 1
    guard message.hops > 0 else { return answerSoon(message, on: connection) }
    let exchange = Exchange(
      chain, on: connection.loop, request: message.request, hops: message.hops - 1,
      content: message.content
    ) { [self] content in answer(message, content, on: connection) }
    exchange.start()
  }

  /// The last hop: now and then it takes a while.
  private func answerSoon(_ question: ChainMessage, on connection: Connection) {
    let content = ChainMessage.answer(to: question.content)
    let choice = chain.random(on: connection.loop)
    guard choice % 4 == 0 else { return answer(question, content, on: connection) }
    connection.loop.schedule(after: .microseconds(choice >> 8 % 2_000)) { [self] in
      answer(question, content, on: connection)
    }
  }

  private func answer(_ question: ChainMessage, _ content: UInt64?, on connection: Connection) {
    isBusy = false
    hasNoticed = false
    var message = question
    message.kind = content == nil ? .failure : .answer
    message.content = content ?? 0
    guard message.withBytes({ connection.write($0) }) == .sent else {
      return violate("who waits for an answer is there", "nobody waits for the \(message)")
    }
    let loop = connection.loop
    let choice = chain.random(on: loop)
    switch choice % 8 {
    case 0:
      chain.counts.serverCloses.add()
      connection.close()
    case 1..<4:
      whenIdle(connection, after: .microseconds(500 + choice >> 8 % 1_000)) { self.hangUp($0) }
    case 4..<6:
      whenIdle(connection, after: .microseconds(choice >> 8 % 1_000)) { self.notify($0) }
    default:
      break
    }
  }

  private func whenIdle(
    _ connection: Connection, after delay: Duration, _ body: @escaping (Connection) -> Void
  ) {
    let before = visits
    connection.loop.schedule(after: delay) { [self] in
      if visits == before && connection.isWritable { body(connection) }
    }
  }

  private func notify(_ connection: Connection) {
    chain.counts.notices.add()
    hasNoticed = true
    _ = ChainMessage(kind: .notice, link: link).withBytes { connection.write($0) }
  }

  private func hangUp(_ connection: Connection) {
    chain.counts.serverCloses.add()
    guard isLocal && !hasNoticed else { return connection.close() }
    // At once, and not with the loop's next system calls: what is noted is a fact.
    _ = fdp_shutdown(connection.handle.fd, Int32(SHUT_RDWR))
    chain.logbook.noteClose(FDHandle(rawValue: link))
    connection.abort()
  }
}

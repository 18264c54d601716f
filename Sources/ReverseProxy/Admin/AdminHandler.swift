import FDHTTP
import FDNet
import FDPoller

/// Answers what is asked at the admin address, one connection. On the connection's loop.
final class AdminHandler: HTTPRequestHandler, @unchecked Sendable {
  private let proxy: HTTPProxy
  /// Tells an answer that takes its time whether it is still wanted.
  private var exchange = 0
  /// The one that is being sent.
  private var report: DescriptorReport?

  init(_ proxy: HTTPProxy) { self.proxy = proxy }

  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
    exchange += 1
    switch AdminRequest(head, loopCount: proxy.poller.loops.count) {
    case .overview: connection.respond(.ok, AdminRequest.overviewText)
    case .metrics:
      connection.respond(
        .ok, type: "text/plain; version=0.0.4; charset=utf-8", PrometheusText.text(proxy.figures))
    case .stats:
      connection.respond(.ok, type: "application/json", FigureJSON.text(proxy.figures))
    case .descriptors(let choice):
      report(choice, isHead: head.knownMethod == .head, on: connection)
    case .move(let from, let to, let count):
      move([ClientMoves.Move(from: from, to: to, count: count)], on: connection)
    case .spread: move(ClientMoves.evening(proxy.service.connectionCounts), on: connection)
    case .refused(let status, let reason, let allow):
      refuse(status, reason, allow, on: connection)
    }
  }

  private func refuse(
    _ status: HTTPStatus, _ reason: String, _ allow: String?, on connection: HTTPServerConnection
  ) {
    let body = reason + "\n"
    connection.begin(status, .length(UInt64(body.utf8.count))) {
      $0.field("Content-Type", "text/plain; charset=utf-8")
      if let allow { $0.field("Allow", allow) }
    }
    connection.send(body.utf8Span.span.bytes)
    connection.finish()
  }

  func cancelled(_ cause: HTTPCancellation, on connection: HTTPServerConnection) { forget() }

  func closed(_ connection: HTTPServerConnection, _ reason: CloseReason) { forget() }

  private func forget() {
    exchange += 1
    report = nil
  }
}

// MARK: - Moves

extension AdminHandler {
  private func move(_ moves: [ClientMoves.Move], on connection: HTTPServerConnection) {
    let (loop, exchange) = (connection.connection.loop, exchange)
    ClientMoves.make(moves, of: proxy.service, on: proxy.poller, answeringOn: loop) { text in
      guard self.exchange == exchange else { return }
      connection.respond(.ok, text)
    }
  }
}

// MARK: - Descriptors

extension AdminHandler {
  /// How far apart the two looks at a descriptor are, of which both must find it odd.
  private static var pauseBetweenLooks: Duration { .milliseconds(100) }

  private func report(
    _ choice: DescriptorReport.Choice, isHead: Bool, on connection: HTTPServerConnection
  ) {
    connection.begin(.ok, .chunked) { $0.field("Content-Type", "text/plain; charset=utf-8") }
    guard !isHead else { return connection.finish() }
    let report = DescriptorReport(of: proxy, choice)
    self.report = report
    let exchange = exchange
    connection.connection.loop.schedule(after: Self.pauseBetweenLooks) { [self] in
      guard self.exchange == exchange else { return }
      report.lookAgain()
      goOn(with: connection)
    }
  }

  /// Sends the next piece; the one after it when the loop has done what else it has to do, and the
  /// client has taken enough.
  private func goOn(with connection: HTTPServerConnection) {
    guard let report else { return }
    let text = report.nextPiece()
    let result = connection.send(text.utf8Span.span.bytes)
    if report.isComplete {
      self.report = nil
      return connection.finish()
    }
    guard result == .sent || result == .queued else { return }
    let exchange = exchange
    connection.connection.loop.run { [self] in
      if self.exchange == exchange { goOn(with: connection) }
    }
  }

  func drained(_ connection: HTTPServerConnection) { goOn(with: connection) }
}

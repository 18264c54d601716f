import FDHTTP
import FDNet
import FDPoller

/// Answers questions, one connection of a proxy's.
final class AnsweringOrigin: HTTPRequestHandler, @unchecked Sendable {
  private let name: UInt64
  private let crossing: Crossing
  private var question: Question?
  private var body = NumberedBody(0, length: 0)
  private var checksum = Checksum()
  /// Tells an answer that takes its time whether it is still wanted.
  private var exchange = 0

  init(_ name: UInt64, _ crossing: Crossing) {
    self.name = name
    self.crossing = crossing
  }

  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
    exchange += 1
    question = Question(path: head.pathAndQuery)
    guard let question else {
      return crossing.stage.violate("a request arrives as it was sent", "its path is another")
    }
    body = NumberedBody(question.identity, length: question.length)
    checksum = Checksum()
  }

  func received(_ bytes: RawSpan, on connection: HTTPServerConnection) {
    checksum.add(bytes)
    if !body.has(bytes) {
      crossing.stage.violate(
        "a request arrives as it was sent",
        "\(question?.path ?? "?") has other bytes than its own up to \(body.count)")
    }
  }

  func requestEnded(on connection: HTTPServerConnection) {
    guard let question else { return }
    if !body.isComplete {
      crossing.stage.violate(
        "a request arrives as it was sent", "\(question.path) has \(body.count) bytes only")
    }
    guard question.isSlow else { return answer(question, on: connection) }
    let exchange = exchange
    let delay = Duration.microseconds(question.identity % 1_000)
    connection.connection.loop.schedule(after: delay) { [self] in
      if self.exchange == exchange { answer(question, on: connection) }
    }
  }

  private func answer(_ question: Question, on connection: HTTPServerConnection) {
    let length = AnswerPreface.size + question.answerLength
    connection.begin(.ok, question.isChunked ? .chunked : .length(UInt64(length)))
    var bytes: [UInt8] = []
    AnswerPreface(
      origin: name, client: question.client, number: question.number, checksum: checksum.value
    ).append(to: &bytes)
    var content = NumberedBody(question.answerIdentity, length: question.answerLength)
    repeat {
      content.append(6_000, to: &bytes)
      connection.send(bytes.span.bytes)
      bytes.removeAll(keepingCapacity: true)
    } while !content.isComplete
    connection.finish()
  }

  func cancelled(_ cause: HTTPCancellation, on connection: HTTPServerConnection) {
    exchange += 1
    crossing.stage.violate(
      "an exchange comes to its end", "\(question?.path ?? "?") is cancelled: \(cause)")
  }
}

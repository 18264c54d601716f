import DequeModule
import FDHTTP
import FDNet
import FDPoller

/// Asks on one connection, some questions ahead of the answers or none, and takes only the answer to
/// the question whose turn it is.
final class AskingClient: Endpoint, @unchecked Sendable {
  private let crossing: Crossing
  private let number: UInt64
  /// How many questions may wait for an answer.
  private let mostAhead: Int
  /// How many are asked before it closes.
  private let most: UInt64
  private var sent: UInt64 = 0
  private var waiting: Deque<(question: Question, checksum: UInt64)> = []
  private var isResting = false
  private var isDone = false

  // The answer whose turn it is.

  private var reader = HTTPHeadReader(limits: HTTPLimits())
  /// Nil while its head is read.
  private var framing: HTTPBodyReader?
  private var preface: [UInt8] = []
  private var body = NumberedBody(0, length: 0)
  /// A part of a head.
  private var unread: [UInt8] = []

  init(_ crossing: Crossing, on connection: Connection) {
    self.crossing = crossing
    number = crossing.newNumber()
    let random = crossing.random(on: connection.loop)
    mostAhead = number % 3 == 0 ? 2 + Int(random % 3) : 1
    most = 50 + random >> 8 % 500
    super.init(crossing.ledgers, of: connection)
  }

  /// Asks, as many as may wait; or closes, when all has been said.
  func goOn(on connection: Connection) {
    guard !isResting, !isDone else { return }
    while crossing.stage.isStormy, sent < most, waiting.count < mostAhead {
      let loop = connection.loop
      let question = Question(
        client: number, number: sent, crossing.random(on: loop), crossing.random(on: loop))
      let (bytes, checksum) = question.request(inChunks: crossing.random(on: loop) % 2 == 0)
      waiting.append((question, checksum))
      sent += 1
      crossing.requests.open()
      connection.write(bytes.span.bytes)
    }
    if waiting.isEmpty {
      isDone = true
      connection.close()
    }
  }

  // MARK: Answers

  override func take(_ bytes: RawSpan, on connection: Connection) {
    if unread.isEmpty {
      let rest = read(bytes)
      bytes.extracting(rest...).withUnsafeBytes { unread.append(contentsOf: $0) }
    } else {
      bytes.withUnsafeBytes { unread.append(contentsOf: $0) }
      let rest = read(unread.span.bytes)
      unread.removeFirst(rest)
    }
    goOn(on: connection)
  }

  /// - Returns: how many of the bytes have been read.
  private func read(_ bytes: RawSpan) -> Int {
    var offset = 0
    do {
      while offset < bytes.byteCount {
        if framing != nil {
          offset = try readBody(bytes, from: offset)
        } else if let count = try readHead(bytes.extracting(offset...)) {
          offset += count
        } else {
          break
        }
      }
    } catch {
      violate("an answer is one", "\(turn): \(error)")
    }
    return crossing.stage.violations.count == 0 ? offset : bytes.byteCount
  }

  private var turn: String { waiting.first?.question.path ?? "nothing that is asked" }

  private func readHead(_ bytes: RawSpan) throws(HTTPViolation) -> Int? {
    guard let count = try reader.readResponse(bytes) else { return nil }
    let head = reader.response(in: bytes)
    guard let question = waiting.first?.question else {
      violate("each request has one answer", "client \(number) gets one more than \(sent)")
      return nil
    }
    if head.status != .ok {
      violate("each request is answered by an origin", "\(turn): \(head.status.rawValue)")
    }
    framing = HTTPBodyReader(head.framing(answering: question.length > 0 ? .post : .get))
    preface.removeAll(keepingCapacity: true)
    body = NumberedBody(question.answerIdentity, length: question.answerLength)
    return count
  }

  private func readBody(_ bytes: RawSpan, from start: Int) throws(HTTPViolation) -> Int {
    switch try framing?.next(bytes, from: start, trailers: reader) {
    case .data(let range):
      let part = min(range.count, AnswerPreface.size - preface.count)
      bytes.extracting(range.lowerBound..<range.lowerBound + part).withUnsafeBytes {
        preface.append(contentsOf: $0)
      }
      if part < range.count && !body.has(bytes.extracting(range.dropFirst(part))) {
        violate("an answer arrives as it was sent", "\(turn), from byte \(body.count)")
      }
      if framing?.isComplete == true { endAnswer() }
      return range.upperBound
    case .end(let offset):
      endAnswer()
      return offset
    case .incomplete, nil:
      return bytes.byteCount
    }
  }

  private func endAnswer() {
    framing = nil
    guard let (question, checksum) = waiting.popFirst() else { return }
    guard preface.count == AnswerPreface.size, body.isComplete else {
      return violate("an answer is complete", "\(question.path): \(body.count) bytes")
    }
    var answer = AnswerPreface(preface)
    let origin = answer.origin
    answer.origin = 0
    let expected = AnswerPreface(
      origin: 0, client: number, number: question.number, checksum: checksum)
    if answer != expected || origin >= Crossing.originCount {
      violate("an answer is that to its request", "\(question.path) gets \(answer) of \(origin)")
    }
    crossing.noteAnswer()
  }

  // MARK: Ends

  override func inputHasEnded(on connection: Connection) {
    if !isDone {
      violate("nobody else closes", "client \(number), waiting for \(turn), is closed")
    }
    connection.close()
  }

  override func hasClosed(_ connection: Connection, _ reason: CloseReason) {
    if !isDone || !waiting.isEmpty {
      violate("nobody else closes", "client \(number), waiting for \(turn): \(reason)")
    }
    crossing.clientIsGone(on: connection.loop)
  }
}

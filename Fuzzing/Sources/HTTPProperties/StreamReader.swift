import FDHTTP

/// Reads one connection's messages as a server or a proxy does: what is complete is taken from the
/// buffer, and the rest waits for more.
struct StreamReader {
  private let kind: Reading.Kind
  private let head: HTTPHeadReader
  /// What has arrived and was not taken.
  private var buffer: [UInt8] = []
  /// Of the last message, while it goes on.
  private var body: HTTPBodyReader?
  private(set) var reading = Reading()

  init(_ kind: Reading.Kind, _ limits: HTTPLimits) {
    self.kind = kind
    head = HTTPHeadReader(limits: limits)
    if case .body(let framing) = kind { begin(Message(framing: framing)) }
  }

  /// Reads on with what has arrived.
  mutating func receive(_ bytes: ArraySlice<UInt8>) {
    guard reading.outcome == .wantsMore else { return }
    // Made anew each time, so that a sanitizer sees a look at what has not come.
    buffer = Array(buffer + bytes)
    do throws(HTTPViolation) {
      while try readSome() {}
    } catch {
      reading.outcome = .refused(error.reason)
    }
  }

  private mutating func begin(_ message: Message) {
    reading.messages.append(message)
    body = HTTPBodyReader(message.framing)
  }

  /// Returns false if more is needed.
  private mutating func readSome() throws(HTTPViolation) -> Bool {
    if body != nil { return try readBody() }
    guard !buffer.isEmpty, let end = try readHead() else { return false }
    precondition((1...buffer.count).contains(end), "a head ends outside the bytes")
    reading.messages[reading.messages.count - 1].headCount = end
    buffer.removeFirst(end)
    return true
  }

  private mutating func readHead() throws(HTTPViolation) -> Int? {
    let buffer = buffer
    let bytes = buffer.span.bytes
    switch kind {
    case .requests:
      guard let end = try head.readRequest(bytes) else { return nil }
      begin(Message(head.request(in: bytes)))
      return end
    case .responses(let method):
      guard let end = try head.readResponse(bytes) else { return nil }
      begin(Message(head.response(in: bytes), answering: method))
      return end
    case .body:
      return nil
    }
  }

  private mutating func readBody() throws(HTTPViolation) -> Bool {
    let last = reading.messages.count - 1
    let buffer = buffer
    var offset = 0
    while true {
      switch try body!.next(buffer.span.bytes, from: offset, trailers: head) {
      case .data(let range):
        precondition(range.lowerBound >= offset && !range.isEmpty, "a piece out of order")
        precondition(range.upperBound <= buffer.count, "a piece outside the bytes")
        reading.messages[last].body += buffer[range]
        offset = range.upperBound
      case .end(let end):
        precondition((offset...buffer.count).contains(end), "a body ends outside the bytes")
        try finish()
        self.buffer.removeFirst(end)
        return kind != .body(reading.messages[last].framing)
      case .incomplete:
        self.buffer.removeAll()
        return false
      }
    }
  }

  private mutating func finish() throws(HTTPViolation) {
    let last = reading.messages.count - 1
    precondition(body!.isComplete, "an end that is none")
    if let section = body!.trailerSection {
      let end = try head.readTrailers(section.span.bytes)
      precondition(end == section.count, "trailers that are read in two ways")
      reading.messages[last].trailers = Message.copy(head.trailers(in: section.span.bytes))
    }
    reading.messages[last].isComplete = true
    body = nil
  }
}

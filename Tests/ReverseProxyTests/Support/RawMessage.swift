/// A message as it was received, taken apart in the plainest way.
struct RawMessage: Sendable {
  /// With the empty line.
  let head: String
  /// As it was sent, chunks and all.
  let rawBody: [UInt8]
  /// Without the frames of chunks.
  let body: [UInt8]
  /// Of a chunked body, with their lines' ends.
  let trailers: String
  /// The end came where the head said it would.
  let isWhole: Bool

  var text: String { head + String(decoding: rawBody, as: UTF8.self) }
  var bodyText: String { String(decoding: body, as: UTF8.self) }
  var firstLine: String { lines.first ?? "" }
  /// Of an answer.
  var status: Int { Int(firstLine.split(separator: " ").dropFirst().first ?? "") ?? 0 }

  private var lines: [String] { Self.lines(head) }

  // "\r\n" is one character, which `split` would have to be told.
  private static func lines(_ text: String) -> [String] {
    text.split(separator: "\r\n", omittingEmptySubsequences: true).map(String.init)
  }

  /// The values of a field, in order.
  func values(_ name: String) -> [String] { Self.values(name, in: head) }

  subscript(name: String) -> String? { values(name).first }

  static func values(_ name: String, in head: String) -> [String] {
    lines(head).dropFirst().compactMap { line in
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { return nil }
      return String(parts[1].drop { $0 == " " })
    }
  }
}

extension RawSocket {
  /// The head of a message, with its empty line; nil if none comes.
  func takeHead() -> String? {
    take(through: "\r\n\r\n").map { String(decoding: $0, as: UTF8.self) }
  }

  /// A request; nil if none comes whole.
  func takeRequest() -> RawMessage? {
    guard let head = takeHead() else { return nil }
    let message = takeBody(of: head, untilClose: false)
    return message.isWhole ? message : nil
  }

  /// An answer, whole or not; nil if its head does not come.
  ///
  /// - Parameter method: of the request.
  func takeAnswer(to method: String = "GET") -> RawMessage? {
    guard let head = takeHead() else { return nil }
    let status = RawMessage(head: head, rawBody: [], body: [], trailers: "", isWhole: true).status
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
      return RawMessage(head: head, rawBody: [], body: [], trailers: "", isWhole: true)
    }
    return takeBody(of: head, untilClose: true)
  }

  private func takeBody(of head: String, untilClose: Bool) -> RawMessage {
    if RawMessage.values("Transfer-Encoding", in: head).last?.lowercased() == "chunked" {
      return takeChunks(of: head)
    }
    if let length = RawMessage.values("Content-Length", in: head).first.flatMap({ Int($0) }) {
      let body = take(length)
      return RawMessage(
        head: head, rawBody: body, body: body, trailers: "", isWhole: body.count == length)
    }
    let body = untilClose ? takeAll() : []
    return RawMessage(
      head: head, rawBody: body, body: body, trailers: "",
      isWhole: !untilClose || ending == .end)
  }

  private func takeChunks(of head: String) -> RawMessage {
    var (raw, body): ([UInt8], [UInt8]) = ([], [])
    func message(_ trailers: String, isWhole: Bool) -> RawMessage {
      RawMessage(head: head, rawBody: raw, body: body, trailers: trailers, isWhole: isWhole)
    }
    while let line = take(through: "\r\n") {
      raw += line
      let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: "\r") }
      guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { break }
      if size == 0 {
        var trailers = ""
        while let line = take(through: "\r\n") {
          raw += line
          if line.count == 2 { return message(trailers, isWhole: true) }
          trailers += String(decoding: line, as: UTF8.self)
        }
        break
      }
      let data = take(size + 2)
      raw += data
      guard data.count == size + 2, data.suffix(2).elementsEqual([13, 10]) else { break }
      body += data.dropLast(2)
    }
    return message("", isWhole: false)
  }
}

package import FDHTTP

/// All that a message's head says, copied out of the bytes, and its body.
package struct Message: Equatable {
  package struct Field: Equatable {
    package var name: Text
    package var value: Text
    package var known: HTTPFieldName
    package var isHopByHop: Bool
  }

  /// Method and target, or status and phrase; nothing for a body alone.
  package var start: [Text] = []
  package var minorVersion: UInt8 = 1
  package var fields: [Field] = []
  package var framing: HTTPFraming
  package var keepsAlive = true
  package var expectsContinue = false
  package var asksForUpgrade = false
  package var authority: Text = ""
  package var pathAndQuery: Text = ""
  package var headCount = 0
  package var body: [UInt8] = []
  package var trailers: [Field] = []
  package var isComplete = false

  package init(framing: HTTPFraming) { self.framing = framing }

  init(_ head: borrowing HTTPRequestHead) {
    start = [Text(head.method), Text(head.target)]
    minorVersion = head.minorVersion
    fields = Self.copy(head.fields)
    framing = head.framing
    keepsAlive = head.keepsAlive
    expectsContinue = head.expectsContinue
    asksForUpgrade = head.asksForUpgrade
    authority = Text(head.authority)
    pathAndQuery = Text(head.pathAndQuery)
  }

  init(_ head: borrowing HTTPResponseHead, answering method: HTTPMethod) {
    start = [Text(stringLiteral: "\(head.status.rawValue)"), Text(head.phrase)]
    minorVersion = head.minorVersion
    fields = Self.copy(head.fields)
    framing = head.framing(answering: method)
    keepsAlive = head.keepsAlive
  }

  static func copy(_ fields: borrowing HTTPFields) -> [Field] {
    var copies: [Field] = []
    for index in 0..<fields.count {
      copies.append(
        Field(
          name: Text(fields.nameBytes(at: index)), value: Text(fields.value(at: index)),
          known: fields.name(at: index), isHopByHop: fields.isHopByHop(at: index)))
    }
    return copies
  }

  /// The message written anew: one space behind each colon, chunks of seven bytes without
  /// extensions.
  package func canonical(as kind: Reading.Kind) -> [UInt8] {
    let version = Text(stringLiteral: "HTTP/1.\(minorVersion)")
    var bytes: [UInt8] = []
    switch kind {
    case .requests: bytes += Self.words(start + [version])
    case .responses: bytes += Self.words([version] + start)
    case .body: break
    }
    if !start.isEmpty { bytes += Self.lineEnd + Self.write(fields) + Self.lineEnd }
    guard framing == .chunked else { return bytes + body }
    for start in stride(from: 0, to: body.count, by: 7) {
      let chunk = body[start..<min(start + 7, body.count)]
      bytes += Array("\(chunk.count)".utf8) + Self.lineEnd + chunk + Self.lineEnd
    }
    return bytes + Array("0".utf8) + Self.lineEnd + Self.write(trailers) + Self.lineEnd
  }

  private static let lineEnd: [UInt8] = [0x0d, 0x0a]

  private static func words(_ words: [Text]) -> [UInt8] {
    Array(words.map { $0.bytes }.joined(separator: [0x20]))
  }

  private static func write(_ fields: [Field]) -> [UInt8] {
    fields.flatMap { $0.name.bytes + [0x3a, 0x20] + $0.value.bytes + lineEnd }
  }
}

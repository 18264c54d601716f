/// What an agent is known by: letters, digits, `-`, `_` and `.`, 1 to 64 of them.
struct SessionID: Hashable, Sendable, CustomStringConvertible {
  static let rule = "not 1 to 64 letters, digits, -, _ or ."
  static let ordinary = SessionID("default")!

  let text: String

  init?(_ text: some StringProtocol) {
    let isFine = text.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        true
      default: false
      }
    }
    guard isFine, 1...64 ~= text.utf8.count else { return nil }
    self.text = String(text)
  }

  var description: String { text }
}

/// What an agent proves itself by: 1 to 4,096 bytes, without line breaks and NULs. Its bytes appear
/// in no description.
struct AgentToken: Hashable, Sendable, CustomStringConvertible {
  static let mostBytes = 4096
  static let rule = "a token is 1 to \(mostBytes) bytes on one line"

  let bytes: [UInt8]

  init?(_ bytes: [UInt8]) {
    guard 1...Self.mostBytes ~= bytes.count, !bytes.contains(where: { [0, 10, 13].contains($0) })
    else { return nil }
    self.bytes = bytes
  }

  /// Reads the token of a file; a line break at its end does not belong to it.
  static func read(_ path: String) throws(Failure) -> AgentToken {
    var bytes = try TextFile.read(path, most: mostBytes + 2)
    if bytes.last == 10 { bytes.removeLast() }
    if bytes.last == 13 { bytes.removeLast() }
    guard let token = AgentToken(bytes) else {
      throw .runtime("\(path.debugDescription) has no token in it: \(rule)")
    }
    return token
  }

  /// Whether they are the same, in a time that tells nothing about where they differ.
  func matches(_ other: AgentToken) -> Bool {
    guard bytes.count == other.bytes.count else { return false }
    return zip(bytes, other.bytes).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }

  /// What somebody has written, with "(token)" in place of this token. A part of it at the end,
  /// where what was written may have been cut off, is left out.
  func redacted(_ text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var rest = text[...]
    while !rest.isEmpty {
      if rest.starts(with: bytes) {
        result += Array(description.utf8)
        rest = rest.dropFirst(bytes.count)
      } else if bytes.starts(with: rest) {
        break
      } else {
        result.append(rest.removeFirst())
      }
    }
    return result
  }

  var description: String { "(token)" }
}

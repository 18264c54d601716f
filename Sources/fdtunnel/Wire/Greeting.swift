// What agent and server say to each other beside the streams of clients. The agent opens the first
// stream; its opening is a greeting, its first message the token. The server answers with a verdict.
// From then on only ends are said on that stream: the agent's says that it leaves and wants no more
// clients, the server's answer that none will come.

/// How an agent introduces itself.
struct Greeting: Equatable {
  /// Of the protocol.
  static let version: UInt8 = 1
  private static let magic = Array("FDT".utf8)

  let id: SessionID

  var bytes: [UInt8] { Self.magic + [Self.version] + Array(id.text.utf8) }

  init(_ id: SessionID) { self.id = id }

  /// - Throws: what is wrong with it, for the agent.
  init(parsing bytes: [UInt8]) throws(Refusal) {
    guard bytes.starts(with: Self.magic), bytes.count > Self.magic.count else {
      throw .forGood("this is no greeting of an fdtunnel agent")
    }
    let version = bytes[Self.magic.count]
    guard version == Self.version else {
      throw .forGood(
        "the agent speaks version \(version) of the protocol, and this server "
          + "version \(Self.version): use the same release on both sides")
    }
    let text = String(decoding: bytes[(Self.magic.count + 1)...], as: UTF8.self)
    guard let id = SessionID(text) else { throw .forGood("the id is \(SessionID.rule)") }
    self.id = id
  }
}

/// Why a server does not take an agent.
struct Refusal: Error, Equatable, CustomStringConvertible {
  /// For the agent.
  let description: String
  /// Another time it may.
  let isForNow: Bool
  /// For the server's log, if the agent is not to know.
  var cause: String?

  static func forGood(_ text: String) -> Refusal { Refusal(description: text, isForNow: false) }
  static func forNow(_ text: String) -> Refusal { Refusal(description: text, isForNow: true) }
}

/// The server's answer to a greeting.
enum Verdict: Equatable {
  case welcome
  case refused(Refusal)

  private static var mostText: Int { 1024 }

  var bytes: [UInt8] {
    switch self {
    case .welcome: [0]
    case .refused(let refusal):
      [refusal.isForNow ? 2 : 1] + Array(refusal.description.utf8.prefix(Self.mostText))
    }
  }

  /// - Returns: nil if it is no verdict.
  init?(parsing bytes: [UInt8]) {
    guard let kind = bytes.first, bytes.count <= 1 + Self.mostText else { return nil }
    switch kind {
    case 0: self = .welcome
    case 1, 2:
      let text = String(decoding: bytes.dropFirst(), as: UTF8.self).printable
      self = .refused(Refusal(description: text, isForNow: kind == 2))
    default: return nil
    }
  }
}

extension String {
  /// On one line, without anything that a terminal would take for a command.
  var printable: String {
    String(
      String.UnicodeScalarView(
        unicodeScalars.map { $0.value < 0x20 || 0x7f...0x9f ~= $0.value ? " " : $0 }))
  }
}

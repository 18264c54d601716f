/// What the server says about a client when it opens a stream for it: `SERVICE` and the client's
/// address, with a line break between them.
struct StreamOpening: Equatable {
  let service: SessionID
  /// For the agent's log; may be empty.
  let client: String

  init(service: SessionID, client: String) {
    self.service = service
    self.client = client
  }

  var bytes: [UInt8] { Array("\(service)\n\(client)".utf8.prefix(1024)) }

  /// - Returns: nil if it is no such thing.
  init?(parsing bytes: [UInt8]) {
    let parts = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let service = SessionID(String(decoding: parts[0], as: UTF8.self))
    else { return nil }
    self.service = service
    client = String(decoding: parts[1], as: UTF8.self).printable
  }
}

/// The codes with which streams are reset.
enum StreamReset: UInt32 {
  /// The socket of this side was reset, or has failed.
  case broken = 1
  /// The agent has no service of that name.
  case unknownService
  /// The agent cannot connect to its service.
  case unreachableService
  /// The agent's service has all the clients that it takes.
  case busyService
  /// Whoever runs this side ends it.
  case cutOff

  /// What the other side's reset means.
  var words: String {
    switch self {
    case .broken: "the connection at the other end was reset or has failed"
    case .unknownService: "the agent has no service of that name: start it with --service NAME=…"
    case .unreachableService: "the agent cannot connect to its service; see its log"
    case .busyService: "the agent's service has as many clients as --limit allows"
    case .cutOff: "the other end has been ended"
    }
  }
}

import FDHTTP

/// What the admin address is asked for, or why that cannot be.
enum AdminRequest {
  case overview, metrics, stats
  case descriptors(DescriptorReport.Choice)
  case move(from: Int, to: Int, count: Int)
  case spread
  case refused(HTTPStatus, String, allow: String? = nil)

  static let overviewText = """
    GET  /metrics                     counters, for Prometheus
    GET  /stats                       the same as JSON
    GET  /fds                         every descriptor in words; ! marks the suspicious, with the
                                      reason
         ?limit=1000                  at most so many that are in order; all=1 shows all
         ?idle=SECONDS                suspicious, too, is a connection on which nothing has moved for
                                      so long; by default longer than every timeout
    POST /move?from=0&to=1&count=100  moves clients from one loop to another, between two requests
    POST /move?spread=1               evens them out among all loops

    """

  /// - Parameter loopCount: of the proxy.
  init(_ head: borrowing HTTPRequestHead, loopCount: Int) {
    let target = head.pathAndQuery.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let path = parts.first.map(String.init) ?? ""
    let isMove = path == "/move"
    guard ["/", "", "/metrics", "/stats", "/fds", "/move"].contains(path) else {
      self = .refused(.notFound, "there is no \(path); / lists what there is")
      return
    }
    switch head.knownMethod {
    case .get where !isMove, .head where !isMove, .post where isMove: break
    default:
      let allow = isMove ? "POST" : "GET, HEAD"
      self = .refused(.methodNotAllowed, "\(path) is for \(allow) only", allow: allow)
      return
    }
    do {
      var query = try AdminQuery(parts.count > 1 ? parts[1] : "")
      self = try Self.reading(path, &query, loopCount)
      try query.end()
    } catch {
      self = .refused(.badRequest, "\(path): \(error.reason)")
    }
  }

  private static func reading(
    _ path: String, _ query: inout AdminQuery, _ loopCount: Int
  ) throws(AdminQuery.Mistake) -> AdminRequest {
    switch path {
    case "/metrics": return .metrics
    case "/stats": return .stats
    case "/fds":
      var choice = DescriptorReport.Choice()
      if let limit = try query.takeNumber("limit", 0...Int.max) { choice.limit = limit }
      if try query.takeNumber("all", 0...1) == 1 { choice.limit = .max }
      choice.idleSeconds = try query.takeNumber("idle", 1...Int(UInt32.max / 1000))
      return .descriptors(choice)
    case "/move":
      if try query.takeNumber("spread", 1...1) != nil { return .spread }
      let loops = 0...(loopCount - 1)
      guard let from = try query.takeNumber("from", loops),
        let to = try query.takeNumber("to", loops)
      else {
        throw AdminQuery.Mistake(
          "say from and to in the query, for example from=0&to=1, or spread=1")
      }
      guard from != to else { throw AdminQuery.Mistake("from and to are the same loop") }
      return .move(from: from, to: to, count: try query.takeNumber("count", 1...Int.max) ?? .max)
    default: return .overview
    }
  }
}

/// The parameters of a request: each once, a number, and known.
struct AdminQuery {
  struct Mistake: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
  }

  private var values: [String: String] = [:]

  init(_ text: some StringProtocol) throws(Mistake) {
    for part in text.split(separator: "&") {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(pair[0])
      guard values.updateValue(pair.count > 1 ? String(pair[1]) : "", forKey: name) == nil else {
        throw Mistake("\(name) is there twice")
      }
    }
  }

  /// - Returns: nil if it is not there.
  mutating func takeNumber(
    _ name: String, _ range: ClosedRange<Int>
  ) throws(Mistake) -> Int? {
    guard let text = values.removeValue(forKey: name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      let wanted =
        range.lowerBound == range.upperBound
        ? "\(range.lowerBound)"
        : range.upperBound == .max
          ? "a number, at least \(range.lowerBound)"
          : "a number from \(range.lowerBound) to \(range.upperBound)"
      throw Mistake("\(name) is \(wanted), not \(text.debugDescription)")
    }
    return number
  }

  /// Nothing may be left.
  func end() throws(Mistake) {
    if let name = values.keys.min() {
      throw Mistake("there is no parameter \(name.debugDescription); / lists what there is")
    }
  }
}

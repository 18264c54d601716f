/// What is to be reached: a row per target.
struct Target {
  let work: String
  let against: String
  let limit: Double
  let figure: Figure

  enum Figure {
    /// CPU per request of one contender over another's, round by round.
    case ratio(comparison: String, of: String, to: String)
    /// Of an idle connection.
    case bytes(memory: String, of: String, connections: Int)
    case takeover
  }

  private static func ratio(
    _ work: String, _ against: String, _ limit: Double, _ comparison: String, _ ours: String,
    _ peer: String
  ) -> Target {
    Target(
      work: work, against: against, limit: limit,
      figure: .ratio(comparison: comparison, of: ours, to: peer))
  }

  /// The same with each backend of ours.
  private static func ratios(
    _ work: String, _ against: String, _ limit: Double, _ comparison: String, _ ours: String,
    _ peer: String
  ) -> [Target] {
    Subject.IO.allCases.map { io in
      ratio("\(work), \(io.rawValue)", against, limit, comparison, "\(ours)-\(io)", peer)
    }
  }

  static let all =
    ratios + memories + [
      Target(
        work: "takeover of an idle connection", against: "connect()", limit: 0.15, figure: .takeover
      ),
      ratio(
        "echo, 2 loops", "1 loop", 1.11, "growth/loops-sameCore", "handler-epoll@2",
        "handler-epoll@1"),
      ratio(
        "HTTP proxy, 2 loops", "1 loop", 1.11, "growth/proxy-loops", "fdproxy-epoll@2",
        "fdproxy-epoll@1"),
    ]

  private static let ratios: [Target] = {
    let echo = "echo/sameCore"
    let http = "http/sameCore"
    let tcp = "tcp-proxy/sameCore"
    let proxy = "http-proxy/sameCore"
    let churn = "churn/sameCore"
    return [
      [
        ratio("echo, handler, epoll", "C, epoll", 1.05, echo, "handler-epoll", "c-epoll"),
        ratio("echo, handler, io_uring", "C, io_uring", 1.10, echo, "handler-uring", "c-uring"),
      ],
      ratios("echo, async", "C, epoll", 1.25, echo, "async", "c-epoll"),
      ratios("echo, async", "NIO ChannelHandler", 0.60, echo, "async", "nio-handler"),
      ratios("echo, async", "NIOAsyncChannel", 0.25, echo, "async", "nio-async"),
      ratios("HTTP plaintext", "nginx", 0.90, http, "handler", "nginx"),
      ratios("HTTP plaintext", "NIOHTTP1", 0.38, http, "handler", "nio-handler"),
      ratios("TCP proxy", "C, epoll", 1.08, tcp, "fdproxy", "c-epoll"),
      ratios("TCP proxy", "HAProxy", 0.90, tcp, "fdproxy", "haproxy"),
      ratios("HTTP proxy", "nginx", 0.85, proxy, "fdproxy", "nginx"),
      ratios("HTTP proxy", "HAProxy", 0.75, proxy, "fdproxy", "haproxy"),
      ratios("churn, HTTP", "C, epoll", 1.30, churn, "handler", "c-epoll"),
      ratios("churn, HTTP", "NIOHTTP1", 0.40, churn, "handler", "nio-handler"),
    ].flatMap { $0 }
  }()

  private static let memories = [
    memory("idle connection, echo server", 400, "idle/echo", "handler-epoll"),
    memory("idle connection, HTTP server", 400, "idle/http", "handler-epoll"),
    memory("idle pair, TCP proxy", 900, "idle/tcp-proxy", "fdproxy-epoll"),
  ]

  private static func memory(
    _ work: String, _ limit: Double, _ id: String, _ subject: String
  ) -> Target {
    Target(
      work: work, against: "bytes", limit: limit,
      figure: .bytes(memory: id, of: subject, connections: 5_000))
  }

  var unit: String { if case .bytes = figure { "bytes" } else { "" } }

  /// What was reached; nil if one of the figures is not there.
  func reached(_ results: Results) -> Series? {
    switch figure {
    case .ratio(let comparison, let ours, let peer):
      guard let result = results.comparisons.first(where: { $0.comparison.id == comparison }),
        let ours = result.outcome(ours)?.series(.cpu),
        let peer = result.outcome(peer)?.series(.cpu)
      else { return nil }
      return ours.divided(by: peer)
    case .bytes(let id, let subject, let connections):
      return results.memory.first { $0.id == id }?.figure(subject, connections)?.bytes
    case .takeover:
      return results.takeovers?.ratio
    }
  }

  func text(_ value: Double) -> String {
    if case .bytes = figure { grouped(value) } else { decimal(value, 3) }
  }
}

/// All that was measured.
struct Results {
  var comparisons: [ComparisonResult] = []
  var memory: [IdleMemory] = []
  var takeovers: Takeovers?
}

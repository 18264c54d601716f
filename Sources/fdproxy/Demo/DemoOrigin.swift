import FDHTTP
import FDNet
import FDPoller
import Logging

/// A server that the demo's proxy forwards to: it gives out bytes that both sides know, and sends
/// back what is posted.
final class DemoOrigin {
  private let poller: Poller
  private let server: HTTPServer
  var address: SocketAddress { server.address }
  var statistics: HTTPService.Statistics { server.service.statistics }

  init(named name: String, waitingWith io: IOBackend) throws {
    var configuration = PollerConfiguration(threads: 1)
    configuration.io = io
    configuration.name = name
    configuration.logger = .toStandardError(label: name, level: .error)
    poller = try Poller(configuration)
    try poller.start()
    var settings = HTTPServerSettings()
    // So short that connections are closed while the proxy is about to use them again.
    settings.keepAliveTimeout = .milliseconds(20)
    settings.name = name
    do {
      server = try HTTPServer(.loopback(port: 0), on: poller, settings: settings) { DemoHandler() }
    } catch {
      try? poller.stop()
      throw error
    }
  }

  func stop() {
    server.drain()
    try? poller.stop()
  }
}

/// Answers one connection of the proxy.
private final class DemoHandler: HTTPRequestHandler {
  private var isPost = false

  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
    isPost = head.knownMethod == .post
    if isPost { return connection.begin(.ok, head.framing) }
    guard let part = DemoBytes.part(of: head.pathAndQuery) else {
      return connection.respond(.ok, "swift-fd-poller: try /bytes/START/COUNT, or post something\n")
    }
    let bytes = DemoBytes.all
    connection.respond(
      .ok, type: "application/octet-stream", bytes.span.bytes.extracting(part))
  }

  func received(_ bytes: RawSpan, on connection: HTTPServerConnection) {
    if connection.send(bytes) == .queuedAboveWatermark { connection.pauseBody() }
  }

  func drained(_ connection: HTTPServerConnection) { connection.resumeBody() }

  func requestEnded(on connection: HTTPServerConnection) {
    if isPost { connection.finish() }
  }
}

/// What the demo sends about: any bytes will do, as long as a wrong answer shows.
enum DemoBytes {
  static let longest = 4096

  static let all: [UInt8] = {
    var random = SplitMix(seed: 1)
    return (0..<longest * 4).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }()

  /// - Parameter path: `/bytes/START/COUNT`.
  static func part(of path: borrowing RawSpan) -> Range<Int>? {
    let text = path.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    let parts = text.split(separator: "/")
    guard parts.count == 3, parts[0] == "bytes", let start = Int(parts[1]),
      let count = Int(parts[2]), start >= 0, 0...longest ~= count, start <= all.count - count
    else { return nil }
    return start..<start + count
  }
}

/// The generator of Steele, Lea and Flood (SplitMix64): small, and the same every time.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

import FDHTTP
import FDNet
import FDPoller
import Logging
import Synchronization
import TestKit
import Testing

@testable import ReverseProxy

/// A proxy in this process, on a poller of its own.
final class TestProxy: Sendable {
  let proxy: HTTPProxy
  let poller: Poller
  let book: LogBook
  let ports: [UInt16]
  private let drained: Tally

  fileprivate init(_ configuration: HTTPProxyConfiguration, threads: Int) throws {
    var settings = PollerConfiguration(threads: threads)
    settings.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    settings.name = "proxy-test"
    settings.tickLimit = .seconds(10)
    settings.logger = Logger(label: "proxy-test") { _ in SwiftLogNoOpLogHandler() }
    poller = try Poller(settings)
    book = LogBook()
    let drained = Tally()
    self.drained = drained
    proxy = HTTPProxy(configuration, on: poller, book.logger) { drained.add() }
    try poller.start()
    do {
      ports = try proxy.listen().compactMap(\.port)
    } catch {
      try? poller.stop()
      throw error
    }
  }

  var port: UInt16 { ports[0] }

  func client(receiveBuffer: Int32? = nil) -> RawSocket {
    RawSocket(to: port, receiveBuffer: receiveBuffer)
  }

  /// Sends a request on a connection of its own, and takes the answer and what follows it.
  func ask(_ request: String) -> (answer: RawMessage?, rest: String) {
    let client = client()
    client.send(request)
    client.finish()
    let answer = client.takeAnswer(to: request.hasPrefix("HEAD") ? "HEAD" : "GET")
    return (answer, String(decoding: client.takeAll(), as: UTF8.self))
  }

  /// Of the first group.
  var backends: [Backend] { proxy.plan.groups[0].balancer.backends }

  var retries: Int { proxy.counts.reduce(0) { $0 + $1.retries.current } }

  var isDrained: Bool { drained.value > 0 }

  /// Waits until every loop has done what it was told before.
  func afterMail() async throws {
    let left = Tally(poller.loops.count)
    for loop in poller.loops { loop.run { left.add(-1) } }
    try #require(await eventually { left.value == 0 })
  }

  /// Whether no place at a backend is taken.
  var hasFreePlaces: Bool {
    proxy.plan.backends.values.allSatisfy { $0.sessions.load(ordering: .relaxed) == 0 }
  }

  fileprivate func end() async throws {
    #expect(
      await eventually(within: .seconds(10)) { hasFreePlaces },
      "places are left taken: \(backends.map { $0.sessions.load(ordering: .relaxed) })")
    if !isDrained { proxy.drain() }
    #expect(await eventually(within: .seconds(10)) { isDrained }, "the drain does not end")
    #expect(proxy.clientCount == 0)
    #expect(proxy.service.statistics.connections == 0)
    try poller.stop()
    #expect(poller.snapshot().liveDescriptors == 0)
    #expect(drained.value == 1, "the end of a drain is told once")
  }
}

/// Runs the body with a proxy in front of origins, all of which are gone after it.
///
/// - Parameter change: of the configuration: one group of all origins.
func withProxy(
  threads: Int = 1, to origins: [ScriptedOrigin],
  _ change: (inout HTTPProxyConfiguration) -> Void = { _ in },
  _ body: (TestProxy) async throws -> Void
) async throws {
  defer { for origin in origins { origin.stop() } }
  let group = BackendGroupConfiguration(name: "all", backends: origins.map(\.address))
  let address = NamedAddress(SocketAddress(ipv4: (127, 0, 0, 1), port: 0))
  var configuration = HTTPProxyConfiguration(listen: [address], groups: [group])
  change(&configuration)
  let test = try TestProxy(configuration, threads: threads)
  do {
    try await body(test)
  } catch {
    try? test.poller.stop()
    throw error
  }
  try await test.end()
}

/// A test that leaves no connection, session or connection to a client behind. Give it to a suite
/// together with `.ledger`, after it.
struct ProxyLedger: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
    testCase == nil ? nil : self
  }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    let before = Self.counts
    try await function()
    let areGone = await eventually(within: .seconds(10)) { Self.counts == before }
    if !areGone {
      Issue.record("connections, sessions, clients: \(before) before, \(Self.counts) after")
    }
  }

  private static var counts: [Int] {
    [Connection.liveCount, ProxySession.liveCount, HTTPServerConnection.liveCount]
  }
}

extension Trait where Self == ProxyLedger {
  /// Checks that the test leaves nothing of a proxy behind.
  static var proxyLedger: Self { ProxyLedger() }
}

/// The shortest answer with a body.
let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/// A request for a path.
func get(_ path: String = "/", _ fields: String = "") -> String {
  "GET \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
}

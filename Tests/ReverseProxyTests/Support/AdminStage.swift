import FDHTTP
import Logging
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller
@testable import ReverseProxy

/// A proxy with an admin address, two origins and a poller for all of it.
struct AdminStage {
  let proxy: HTTPProxy
  let clients: SocketAddress
  let admin: SocketAddress
  let poller: Poller
  let drained: Tally

  /// Runs the body with one, and stops it.
  static func with(
    threads: Int = 2, _ change: (inout HTTPProxyConfiguration) -> Void = { _ in },
    body: (AdminStage) async throws -> Void
  ) async throws {
    weak var remains: HTTPProxy?
    do {
      let origins = try pollerOfOne("origin")
      let poller = try pollerOfOne("proxy", threads: threads)
      do {
        let stage = try AdminStage(poller, origins, change)
        remains = stage.proxy
        try await body(stage)
      } catch {
        try? poller.stop()
        try? origins.stop()
        throw error
      }
      try poller.stop()
      try origins.stop()
      #expect(poller.snapshot().liveDescriptors == 0)
    }
    #expect(await eventually { remains == nil }, "something keeps the proxy")
  }

  private static func pollerOfOne(_ name: String, threads: Int = 1) throws -> Poller {
    var configuration = PollerConfiguration(threads: threads)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    configuration.name = name
    configuration.tickLimit = .seconds(10)
    configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let poller = try Poller(configuration)
    try poller.start()
    return poller
  }

  private init(
    _ poller: Poller, _ origins: Poller, _ change: (inout HTTPProxyConfiguration) -> Void
  ) throws {
    let backends = try (0..<2).map { _ in
      NamedAddress(try HTTPServer(.loopback(port: 0), on: origins) { Hello() }.address)
    }
    var configuration = HTTPProxyConfiguration(
      listen: [NamedAddress(.loopback(port: 0))],
      groups: [BackendGroupConfiguration(name: "web \"1\"\\", backends: backends)])
    configuration.admin = NamedAddress(.loopback(port: 0))
    // What is idle stays.
    configuration.pool.purgeInterval = .seconds(600)
    change(&configuration)
    let drained = Tally()
    proxy = HTTPProxy(
      configuration, on: poller, Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { drained.add() }
    self.drained = drained
    self.poller = poller
    clients = try proxy.listen()[0]
    admin = try #require(proxy.adminAddresses.first)
  }

  /// Asks the admin address, over a connection of its own.
  func ask(_ target: String, _ method: String = "GET") throws -> RawAnswer {
    try PlainClient(to: admin).ask(target, method)
  }

  /// What /metrics says.
  func metrics() throws -> Exposition { try Exposition(ask("/metrics").body) }

  /// What /metrics says when it holds; what it says last if it never does.
  func metrics(when holds: (Exposition) -> Bool) async throws -> Exposition {
    var last = try metrics()
    _ = try await eventually(within: .seconds(10)) {
      last = try metrics()
      return holds(last)
    }
    return last
  }
}

/// Answers everything, when it is complete.
private final class Hello: HTTPRequestHandler {
  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {}

  func requestEnded(on connection: HTTPServerConnection) {
    connection.respond(.ok, "hello\n")
  }
}

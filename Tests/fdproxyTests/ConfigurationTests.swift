import FDNet
import FDPoller
import Logging
import ReverseProxy
import TestKit
import Testing

@testable import fdproxy

extension ProcessTests {
  @Suite("The configuration file")
  struct ConfigurationTests {
    /// Every key, and no value as it is by default.
    private static let everything = """
      mode: http
      listen: ["127.0.0.1:1", "[::1]:2", "unix:/tmp/x"]
      threads: 4
      thread-groups: 2
      io: auto
      pin: [0, 1]
      log-level: error
      takeover: /tmp/takeover
      accept: shared
      drain-seconds: 5
      admin: 127.0.0.1:3
      trust: [10.0.0.0/8, "::1"]
      proxy-protocol: true
      backends: 127.0.0.1:4
      balance: random-of-two
      groups:
        - name: api
          backends: ["127.0.0.1:5", 127.0.0.1:6]
          balance: least-connections
          connections-per-backend: 7
          queue-length: 8
          queue-timeout: 0
          retries: 9
          health-check: {path: /well, interval: 1s, timeout: 500ms, rise: 4, fall: 5}
          eject-after: 0
          eject-time: 1m
      routes:
        - {host: "*.Example.org", path: /api, group: api}
        - {path: /, group: default}
      timeouts:
        connect: 1
        client-header: 0.25
        client-body: 3s
        server: 2m
        keep-alive: 1h
        tunnel: 0
      limits: {request-line: 4K, head: 1M, fields: 50, connections: 10, connections-per-address: 2}
      pool:
        {reuse: always, idle-per-destination: 1, idle-in-all: 2, idle-time: 3, purge-interval: 4}
      forwarding: {host: www.example.org, x-forwarded-for: false, forwarded: true, via: none}
      access-log: {path: /tmp/log, format: json}
      """

    private func read(_ text: String) async throws -> Settings {
      try await withFile(text) { try Settings.read($0) }
    }

    @Test("every key of the proxy is read")
    func proxy() async throws {
      let proxy = try #require(try await read(Self.everything).http)
      #expect(proxy.listen.map(\.name) == ["127.0.0.1:1", "[::1]:2", "unix:/tmp/x"])
      #expect(proxy.sharing == .socketPerGroup)
      #expect(proxy.drainTime == .seconds(5))
      #expect(proxy.admin?.name == "127.0.0.1:3")
      let peers = try ["10.1.2.3:4", "11.1.2.3:4"].map { try SocketAddress(parsing: $0) }
      #expect(proxy.trust.contains(peers[0]) && !proxy.trust.contains(peers[1]))
      #expect(proxy.expectsProxyHeader)
      #expect(
        proxy.routes == [
          .init(host: "*.example.org", pathPrefix: "/api", group: "api"), .init(group: "default"),
        ])
      let timeouts = proxy.timeouts
      #expect(timeouts.connect == .seconds(1) && timeouts.clientHeader == .milliseconds(250))
      #expect(timeouts.clientBody == .seconds(3) && timeouts.server == .seconds(120))
      #expect(timeouts.keepAlive == .seconds(3600) && timeouts.tunnel == nil)
      let limits = proxy.limits
      #expect(limits.requestLineBytes == 4096 && limits.headBytes == 1 << 20 && limits.fields == 50)
      #expect(limits.connections == 10 && limits.connectionsPerAddress == 2)
      #expect(proxy.pool.reuse == .always)
      #expect(proxy.pool.idlePerDestination == 1 && proxy.pool.idleInAll == 2)
      #expect(proxy.pool.idleTime == .seconds(3) && proxy.pool.purgeInterval == .seconds(4))
      #expect(proxy.forwarding.host == .fixed("www.example.org") && proxy.forwarding.via == nil)
      #expect(!proxy.forwarding.addsForwardedFor && proxy.forwarding.addsForwarded)
      #expect(proxy.accessLog == AccessLogConfiguration(path: "/tmp/log", format: .json))
    }

    @Test("every key of a group is read, and backends at the top level are the group default")
    func groups() async throws {
      let groups = try #require(try await read(Self.everything).http?.groups)
      #expect(groups.map(\.name) == ["default", "api"])
      #expect(groups[0].backends.map(\.name) == ["127.0.0.1:4"])
      #expect(groups[0].balance == .randomOfTwo && groups[0].healthCheck == nil)
      let api = groups[1]
      #expect(api.backends.map(\.name) == ["127.0.0.1:5", "127.0.0.1:6"])
      #expect(api.balance == .leastConnections && api.connectionsPerBackend == 7)
      #expect(api.queueLength == 8 && api.queueTimeout == .zero && api.retries == 9)
      #expect(api.ejectAfter == 0 && api.ejectTime == .seconds(60))
      let check = try #require(api.healthCheck)
      #expect(check.path == "/well" && check.interval == .seconds(1))
      #expect(check.timeout == .milliseconds(500) && check.rise == 4 && check.fall == 5)
    }

    @Test("every key of the process is read, and what stands beside --config holds")
    func process() async throws {
      let settings = try await read(Self.everything)
      #expect(settings.mode == .http && settings.threads == 4 && settings.threadGroups == 2)
      #expect(settings.io == .automatic && settings.processors == [0, 1])
      #expect(settings.logLevel == .error && settings.takeoverPath == "/tmp/takeover")
      #expect(settings.summary == "3 listeners, 3 backends in 2 groups")
      let other = Settings.Overrides(
        threads: 3, io: .epoll, logLevel: .trace, takeoverPath: "/tmp/other")
      let overridden = try await withFile(Self.everything) { try Settings.read($0, other) }
      #expect(overridden.threads == 3 && overridden.io == .epoll)
      #expect(overridden.logLevel == .trace && overridden.takeoverPath == "/tmp/other")
    }

    @Test("every key of the mode tcp is read")
    func bytes() async throws {
      let settings = try await read(
        """
        mode: tcp
        listen: "*:1"
        backends: [127.0.0.1:2]
        balance: least-connections
        timeouts: {connect: 1, client: 2, server: 3, idle: 0}
        limits: {connections: 4}
        spare: 5
        accept: shared
        drain-seconds: 6
        """)
      guard case .tcp(let proxy) = settings.service else { throw Failure.runtime("not tcp") }
      #expect(proxy.listen.map(\.name) == ["*:1"] && proxy.backends.map(\.name) == ["127.0.0.1:2"])
      #expect(proxy.connectTimeout == .seconds(1) && proxy.clientTimeout == .seconds(2))
      #expect(proxy.serverTimeout == .seconds(3) && proxy.idleTimeout == nil)
      #expect(proxy.maximumSessions == 4 && proxy.spares == 5 && proxy.drainTime == .seconds(6))
      #expect(proxy.balance == .leastConnections && proxy.sharing == .socketPerGroup)
      #expect(settings.summary == "1 listener, 1 backend")
    }

    @Test("what is not said is as it is by default")
    func defaults() async throws {
      let settings = try await read("listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\ntimeouts:\n")
      let proxy = try #require(settings.http)
      #expect(proxy.timeouts.server == .seconds(60) && proxy.limits.headBytes == 32 << 10)
      #expect(proxy.forwarding.via == "fdproxy" && proxy.admin == nil && proxy.accessLog == nil)
      #expect(settings.threads == 1 && settings.takeoverPath == nil && settings.warnings.isEmpty)
    }

    @Test("an admin address that others reach is warned about", arguments: ["*:1", "[::]:1"])
    func adminWarning(address: String) async throws {
      let settings = try await read(
        "listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\nadmin: \"\(address)\"\n")
      #expect(settings.warnings.count == 1)
      #expect(settings.warnings.first?.contains(address) == true)
    }

    @Test("the file is read again, and a mistake in it leaves the old settings alone")
    func again() async throws {
      let text = "listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\n"
      try await withFile(text) { path in
        let settings = try Settings.read(path, Settings.Overrides(threads: 2))
        rewrite(path, text + "retries: 7\nthreads: 5\n")
        let changed = try #require(try settings.reread())
        #expect(changed.http?.groups[0].retries == 7)
        #expect(changed.threads == 2)
        rewrite(path, "retries")
        #expect(throws: SettingsError.self) { try changed.reread() }
      }
    }

    @Test("what a reload cannot change is listed, and nothing else")
    func restart() async throws {
      let old = try await read(Self.everything)
      let other = try await read("listen: 127.0.0.1:1\nbackends: 127.0.0.1:2\nthreads: 4\n")
      #expect(Settings.needingRestart(from: old, to: old).isEmpty)
      #expect(
        Settings.needingRestart(from: old, to: other) == [
          "thread-groups: 2 to as few as possible", "io: auto to epoll", "pin: [0, 1] to []",
          "takeover: /tmp/takeover to none",
        ])
      let bytes = try await read("mode: tcp\nlisten: 127.0.0.1:1\nbackends: 127.0.0.1:2\n")
      #expect(
        Settings.needingRestart(from: other, to: bytes) == ["mode: http to tcp", "threads: 4 to 1"])
    }
  }
}

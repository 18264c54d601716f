import ArgumentParser
import FDNet
import FDPoller
import Logging
import ReverseProxy
import TestKit
import Testing

@testable import fdproxy

extension ProcessTests {
  @Suite("Flags")
  struct FlagTests {
    private static let least = ["--listen", "127.0.0.1:1", "--backend", "127.0.0.1:2"]

    private func settings(_ arguments: [String]) throws -> Settings {
      try Serve.parse(Self.least + arguments).flagSettings()
    }

    private func proxy(_ arguments: String...) throws -> HTTPProxyConfiguration {
      try #require(try settings(arguments).http)
    }

    @Test("without others there is an HTTP proxy as it is by default")
    func defaults() throws {
      let proxy = try proxy()
      #expect(proxy.groups.map(\.name) == ["default"] && proxy.groups[0].healthCheck == nil)
      #expect(proxy.timeouts.connect == .seconds(5) && proxy.limits.connections == nil)
      #expect(proxy.forwarding.addsForwardedFor && proxy.forwarding.via == "fdproxy")
      #expect(!proxy.expectsProxyHeader && proxy.accessLog == nil && proxy.admin == nil)
    }

    @Test("backends are grouped by the name before the =, and routes lead to groups")
    func groups() throws {
      let proxy = try proxy(
        "--backend", "api=127.0.0.1:3", "--backend", "api=unix:/tmp/a=b", "--backend", "unix:/c=d",
        "--route", "/api=api", "--route", "*.Example.org=default", "--route", "a.b/=api",
        "--balance", "least-connections", "--max-per-backend", "5", "--queue-length", "6",
        "--queue-timeout", "7", "--retries", "8", "--eject-after", "9", "--eject-time", "10")
      #expect(proxy.groups.map(\.name) == ["default", "api"])
      #expect(proxy.groups[0].backends.map(\.name) == ["127.0.0.1:2", "unix:/c=d"])
      #expect(proxy.groups[1].backends.map(\.name) == ["127.0.0.1:3", "unix:/tmp/a=b"])
      #expect(
        proxy.routes == [
          .init(pathPrefix: "/api", group: "api"), .init(host: "*.example.org", group: "default"),
          .init(host: "a.b", group: "api"),
        ])
      for group in proxy.groups {
        #expect(group.balance == .leastConnections && group.connectionsPerBackend == 5)
        #expect(group.queueLength == 6 && group.queueTimeout == .seconds(7) && group.retries == 8)
        #expect(group.ejectAfter == 9 && group.ejectTime == .seconds(10))
      }
    }

    @Test("a flag of health checks has them made")
    func health() throws {
      let check = try proxy(
        "--health-path", "none", "--health-interval", "3", "--health-timeout", "4",
        "--health-rise", "5", "--health-fall", "6"
      ).groups[0].healthCheck
      #expect(check?.path == .some(nil) && check?.interval == .seconds(3))
      #expect(check?.timeout == .seconds(4) && check?.rise == 5 && check?.fall == 6)
      #expect(try proxy("--health-checks").groups[0].healthCheck == .init())
      #expect(try proxy("--no-health-checks").groups[0].healthCheck == nil)
    }

    @Test("timeouts and limits are what the flags say, and 0 is none")
    func limits() throws {
      let proxy = try proxy(
        "--connect-timeout", "1", "--client-header-timeout", "2", "--client-body-timeout", "3",
        "--server-timeout", "500ms", "--keep-alive-timeout", "1m", "--tunnel-timeout", "0",
        "--drain-seconds", "4", "--max-connections", "5", "--max-connections-per-address", "0",
        "--max-request-line", "1K", "--max-head", "64k", "--max-fields", "6")
      let timeouts = proxy.timeouts
      #expect(timeouts.connect == .seconds(1) && timeouts.clientHeader == .seconds(2))
      #expect(timeouts.clientBody == .seconds(3) && timeouts.server == .milliseconds(500))
      #expect(timeouts.keepAlive == .seconds(60) && timeouts.tunnel == nil)
      #expect(proxy.drainTime == .seconds(4) && proxy.limits.connections == 5)
      #expect(proxy.limits.connectionsPerAddress == nil && proxy.limits.fields == 6)
      #expect(proxy.limits.requestLineBytes == 1024 && proxy.limits.headBytes == 65_536)
    }

    @Test("the pool, forwarding, trust and what can be seen are what the flags say")
    func others() throws {
      let proxy = try proxy(
        "--reuse", "always", "--idle-per-destination", "1", "--idle-in-all", "2", "--idle-time",
        "3", "--purge-interval", "4", "--host", "backend", "--no-x-forwarded-for", "--forwarded",
        "--via", "edge", "--trust", "10.0.0.0/8", "--trust", "::1", "--proxy-protocol",
        "--access-log", "-", "--access-log-format", "json", "--admin", "127.0.0.1:3",
        "--accept", "shared")
      #expect(proxy.pool.reuse == .always && proxy.pool.idlePerDestination == 1)
      #expect(proxy.pool.idleInAll == 2 && proxy.pool.idleTime == .seconds(3))
      #expect(proxy.pool.purgeInterval == .seconds(4))
      #expect(proxy.forwarding.host == .backend && proxy.forwarding.via == "edge")
      #expect(!proxy.forwarding.addsForwardedFor && proxy.forwarding.addsForwarded)
      #expect(
        proxy.trust == (try AddressRanges(["10.0.0.0/8", "::1"])) && proxy.expectsProxyHeader)
      #expect(proxy.accessLog == AccessLogConfiguration(path: "-", format: .json))
      #expect(proxy.admin?.name == "127.0.0.1:3" && proxy.sharing == .socketPerGroup)
    }

    @Test("the process is what the flags say", arguments: ["--groups", "--thread-groups"])
    func process(threadGroups: String) throws {
      let settings = try settings([
        "--threads", "4", threadGroups, "2", "--io", "auto", "--pin", "0", "1", "--log-level",
        "trace", "--takeover", "/tmp/x",
      ])
      #expect(settings.threads == 4 && settings.threadGroups == 2 && settings.io == .automatic)
      #expect(settings.processors == [0, 1] && settings.logLevel == .trace)
      #expect(settings.takeoverPath == "/tmp/x" && settings.configPath == nil)
      let again = try settings.reread()
      #expect(again.map(\.threads) == nil)
    }
  }
}

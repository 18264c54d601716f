import FDNet
import ReverseProxy

extension SettingsReader {
  func http() -> HTTPProxyConfiguration {
    root.refuse(["spare"], "it has no meaning with mode: http")
    var proxy = HTTPProxyConfiguration(listen: listen(), groups: groups())
    let names = Set(proxy.groups.map(\.name)).subtracting([""])
    proxy.routes = root.sections("routes").compactMap { route($0, to: names) }
    if let timeouts = root.section("timeouts") { read(timeouts, &proxy.timeouts) }
    if let limits = root.section("limits") { read(limits, &proxy.limits) }
    if let pool = root.section("pool") { read(pool, &proxy.pool) }
    if let forwarding = root.section("forwarding") { read(forwarding, &proxy.forwarding) }
    readTrust(&proxy)
    proxy.accessLog = root.section("access-log").flatMap(accessLog)
    proxy.admin = root.value("admin", Value.address)
    proxy.sharing = sharing() ?? proxy.sharing
    root.set("drain-seconds", &proxy.drainTime, Value.time)
    return proxy
  }

  private func read(_ section: Section, _ timeouts: inout HTTPProxyConfiguration.Timeouts) {
    section.refuse(["client", "idle"], "it has no meaning with mode: http")
    section.limit("connect", &timeouts.connect)
    section.limit("client-header", &timeouts.clientHeader)
    section.limit("client-body", &timeouts.clientBody)
    section.limit("server", &timeouts.server)
    section.limit("keep-alive", &timeouts.keepAlive)
    section.limit("tunnel", &timeouts.tunnel)
    section.finish()
  }

  private func read(_ section: Section, _ limits: inout HTTPProxyConfiguration.Limits) {
    section.set("request-line", &limits.requestLineBytes, Value.lineBytes)
    section.set("head", &limits.headBytes, Value.headBytes)
    section.set("fields", &limits.fields, Value.fields)
    section.limit("connections", &limits.connections)
    section.limit("connections-per-address", &limits.connectionsPerAddress)
    section.finish()
  }

  private func read(_ section: Section, _ pool: inout PoolLimits) {
    section.set("reuse", &pool.reuse, Value.word)
    section.set("idle-per-destination", &pool.idlePerDestination, Value.any)
    section.set("idle-in-all", &pool.idleInAll, Value.any)
    section.set("idle-time", &pool.idleTime, Value.time)
    section.set("purge-interval", &pool.purgeInterval, Value.positiveTime)
    section.finish()
  }

  private func read(_ section: Section, _ forwarding: inout HTTPProxyConfiguration.Forwarding) {
    section.set("host", &forwarding.host, Value.host)
    section.set("x-forwarded-for", &forwarding.addsForwardedFor, Value.truth)
    section.set("forwarded", &forwarding.addsForwarded, Value.truth)
    section.set("via", &forwarding.via, Value.via)
    section.finish()
  }

  private func readTrust(_ proxy: inout HTTPProxyConfiguration) {
    let ranges = root.values("trust") { text throws(InvalidValue) in
      _ = try Trust.ranges([text])
      return text
    }
    // Each of them is readable by now.
    if let trust = try? Trust.ranges(ranges.map(\.value)) { proxy.trust = trust }
    root.set("proxy-protocol", &proxy.expectsProxyHeader, Value.truth)
    if proxy.expectsProxyHeader && !root.has("trust") {
      root.complain(
        "proxy-protocol: nobody is trusted to send it: say whom in trust, as trust: 10.0.0.0/8",
        at: root.place(of: "proxy-protocol"))
    }
  }

  private func accessLog(_ section: Section) -> AccessLogConfiguration? {
    if !section.has("path") {
      section.complain(
        "access-log: no path: write - for the standard output", at: section.start)
    }
    let path = section.value("path", Value.path)
    var log = AccessLogConfiguration(path: path ?? "-")
    section.set("format", &log.format, Value.word)
    section.finish()
    return log
  }

  private func route(_ section: Section, to groups: Set<String>) -> HTTPProxyConfiguration.Route? {
    var route = HTTPProxyConfiguration.Route(group: "")
    route.host = section.value("host", Value.hostPattern)
    route.pathPrefix = section.value("path", Value.pathPrefix) ?? nil
    let group = section.value("group", Value.groupName)
    section.finish()
    guard let group else {
      if !section.has("group") {
        section.complain("no group: say where the route leads to", at: section.start)
      }
      return nil
    }
    guard groups.contains(group) else {
      let hint =
        NearestWord.to(group, among: Array(groups)).map { "did you mean \($0)?" }
        ?? "the groups are \(groups.sorted().joined(separator: ", "))"
      section.complain(
        "group: there is no group \(group): \(hint)", at: section.place(of: "group"))
      return nil
    }
    route.group = group
    return route
  }
}

// MARK: - Groups

extension SettingsReader {
  /// What a group has beside its name and its backends.
  static let groupKeys = [
    "balance", "connections-per-backend", "queue-length", "queue-timeout", "retries",
    "health-check", "eject-after", "eject-time",
  ]
  static let defaultGroup = "default"

  /// Backends at the top level are a group, and what stands beside them is this group's.
  private func groups() -> [BackendGroupConfiguration] {
    var groups: [BackendGroupConfiguration] = []
    if root.has("backends") || !root.has("groups") {
      groups.append(group(root, named: Self.defaultGroup))
    } else {
      root.refuse(Self.groupKeys, "say it in a group")
    }
    for section in root.sections("groups") {
      let name = section.value("name", Value.groupName)
      if !section.has("name") { section.complain("no name for this group", at: section.start) }
      let group = group(section, named: name ?? "")
      section.finish()
      if let name, groups.contains(where: { $0.name == name }) {
        let reason =
          name == Self.defaultGroup && root.has("backends")
          ? "it is the one of the backends at the top level" : "give each a name of its own"
        section.complain(
          "name: there is a group \(name) already: \(reason)", at: section.place(of: "name"))
      }
      groups.append(group)
    }
    if groups.isEmpty {
      root.complain(
        "groups: no group, so no backend: begin one as - {name: web, backends: [...]}",
        at: root.place(of: "groups"))
    }
    return groups
  }

  private func group(_ section: Section, named name: String) -> BackendGroupConfiguration {
    var group = BackendGroupConfiguration(name: name, backends: backends(of: section))
    section.set("balance", &group.balance, Value.word)
    section.limit("connections-per-backend", &group.connectionsPerBackend)
    section.set("queue-length", &group.queueLength, Value.any)
    section.set("queue-timeout", &group.queueTimeout, Value.time)
    section.set("retries", &group.retries, Value.retries)
    group.healthCheck = section.section("health-check").map(healthCheck)
    section.set("eject-after", &group.ejectAfter, Value.any)
    section.set("eject-time", &group.ejectTime, Value.time)
    return group
  }

  private func healthCheck(_ section: Section) -> BackendGroupConfiguration.HealthCheck {
    var check = BackendGroupConfiguration.HealthCheck()
    section.set("path", &check.path, Value.healthPath)
    section.set("interval", &check.interval, Value.positiveTime)
    section.set("timeout", &check.timeout, Value.positiveTime)
    section.set("rise", &check.rise, Value.atLeastOne)
    section.set("fall", &check.fall, Value.atLeastOne)
    section.finish()
    return check
  }
}

import FDNet
import FDPoller
import ReverseProxy

// Settings that flags have said.

extension Serve {
  func flagSettings() throws -> Settings {
    var settings = Settings(mode == .tcp ? .tcp(try tcpProxy()) : .http(try httpProxy()))
    settings.threadGroups = placement.threadGroups
    settings.processors = placement.pin
    settings.override(with: process.overrides)
    _ = try settings.pollerConfiguration.validated()
    return settings
  }

  private func tcpProxy() throws(Failure) -> TCPProxyConfiguration {
    if let other = backends.backend.first(where: { $0.group != SettingsReader.defaultGroup }) {
      throw .usage("--backend \(other.group)=…: groups have no meaning with --mode tcp")
    }
    var proxy = TCPProxyConfiguration(
      listen: try resolve(clients.listen), backends: try resolve(backends.backend.map(\.address)))
    set(&proxy.balance, backends.balance)
    setLimit(&proxy.connectTimeout, timeouts.connectTimeout)
    setLimit(&proxy.clientTimeout, tcp.clientTimeout)
    setLimit(&proxy.serverTimeout, timeouts.serverTimeout)
    setLimit(&proxy.idleTimeout, tcp.idleTimeout)
    set(&proxy.drainTime, timeouts.drainSeconds)
    set(&proxy.sharing, clients.accept?.sharing)
    set(&proxy.spares, tcp.spare)
    setLimit(&proxy.maximumSessions, clients.maxConnections)
    return proxy
  }

  private func httpProxy() throws(Failure) -> HTTPProxyConfiguration {
    var proxy = HTTPProxyConfiguration(listen: try resolve(clients.listen), groups: try groups())
    if let route = backends.route.first(where: { !proxy.groups.map(\.name).contains($0.group) }) {
      throw .usage(
        "--route: there is no group \(route.group): write a --backend \(route.group)=ADDRESS")
    }
    proxy.routes = backends.route
    setTimeouts(&proxy.timeouts)
    set(&proxy.limits.requestLineBytes, clients.maxRequestLine)
    set(&proxy.limits.headBytes, clients.maxHead)
    set(&proxy.limits.fields, clients.maxFields)
    setLimit(&proxy.limits.connections, clients.maxConnections)
    setLimit(&proxy.limits.connectionsPerAddress, clients.maxConnectionsPerAddress)
    setPool(&proxy.pool)
    set(&proxy.forwarding.host, forwarding.host)
    set(&proxy.forwarding.addsForwardedFor, forwarding.xForwardedFor)
    set(&proxy.forwarding.addsForwarded, forwarding.forwarded)
    if let via = forwarding.via { proxy.forwarding.via = via.value }
    try setTrust(&proxy)
    proxy.accessLog = try accessLog()
    if let admin = sight.admin { proxy.admin = try resolve([admin])[0] }
    set(&proxy.sharing, clients.accept?.sharing)
    set(&proxy.drainTime, timeouts.drainSeconds)
    return proxy
  }

  private func setTimeouts(_ limits: inout HTTPProxyConfiguration.Timeouts) {
    setLimit(&limits.connect, timeouts.connectTimeout)
    setLimit(&limits.clientHeader, timeouts.clientHeaderTimeout)
    setLimit(&limits.clientBody, timeouts.clientBodyTimeout)
    setLimit(&limits.server, timeouts.serverTimeout)
    setLimit(&limits.keepAlive, timeouts.keepAliveTimeout)
    setLimit(&limits.tunnel, timeouts.tunnelTimeout)
  }

  private func setPool(_ limits: inout PoolLimits) {
    set(&limits.reuse, pool.reuse)
    set(&limits.idlePerDestination, pool.idlePerDestination)
    set(&limits.idleInAll, pool.idleInAll)
    set(&limits.idleTime, pool.idleTime)
    set(&limits.purgeInterval, pool.purgeInterval)
  }

  private func setTrust(_ proxy: inout HTTPProxyConfiguration) throws(Failure) {
    do {
      proxy.trust = try Trust.ranges(clients.trust)
    } catch {
      throw .usage("--trust: \(error)")
    }
    proxy.expectsProxyHeader = clients.proxyProtocol
    if clients.proxyProtocol && clients.trust.isEmpty {
      throw .usage("--proxy-protocol: nobody is trusted to send it: say whom with --trust")
    }
  }

  private func accessLog() throws(Failure) -> AccessLogConfiguration? {
    guard let path = sight.accessLog else {
      guard sight.accessLogFormat == nil else {
        throw .usage("--access-log-format: there is no log: say where with --access-log")
      }
      return nil
    }
    return AccessLogConfiguration(path: path, format: sight.accessLogFormat ?? .combined)
  }
}

// MARK: - Groups

extension Serve {
  /// In the order in which they are named first. All flags but `--backend` hold for each.
  private func groups() throws(Failure) -> [BackendGroupConfiguration] {
    let check = try healthCheck()
    var groups: [BackendGroupConfiguration] = []
    for backend in backends.backend {
      let address = try resolve([backend.address])
      if let index = groups.firstIndex(where: { $0.name == backend.group }) {
        groups[index].backends += address
        continue
      }
      var group = BackendGroupConfiguration(name: backend.group, backends: address)
      set(&group.balance, backends.balance)
      setLimit(&group.connectionsPerBackend, backends.maxPerBackend)
      set(&group.queueLength, backends.queueLength)
      set(&group.queueTimeout, backends.queueTimeout)
      set(&group.retries, backends.retries)
      group.healthCheck = check
      set(&group.ejectAfter, health.ejectAfter)
      set(&group.ejectTime, health.ejectTime)
      groups.append(group)
    }
    return groups
  }

  private func healthCheck() throws(Failure) -> BackendGroupConfiguration.HealthCheck? {
    let details = GivenFlags.of([health])
      .filter { $0.hasPrefix("--health-") && $0 != "--health-checks" }
    if health.healthChecks == false, let detail = details.first {
      throw .usage("\(detail) has no meaning with --no-health-checks")
    }
    guard health.healthChecks == true || !details.isEmpty else { return nil }
    var check = BackendGroupConfiguration.HealthCheck()
    if let path = health.healthPath { check.path = path.value }
    set(&check.interval, health.healthInterval)
    set(&check.timeout, health.healthTimeout)
    set(&check.rise, health.healthRise)
    set(&check.fall, health.healthFall)
    return check
  }
}

// MARK: - Values

extension Serve {
  private func set<Value>(_ place: inout Value, _ value: Value?) {
    if let value { place = value }
  }

  /// 0 is for ever.
  private func setLimit(_ limit: inout Duration?, _ time: Duration?) {
    if let time { limit = time.unlessZero }
  }

  /// 0 is no limit.
  private func setLimit(_ limit: inout Int?, _ number: Int?) {
    if let number { limit = number.unlessZero }
  }

  private func resolve(_ texts: [String]) throws(Failure) -> [NamedAddress] {
    var addresses: [NamedAddress] = []
    for text in texts {
      do {
        addresses.append(try Value.address(text))
      } catch {
        throw error.isLookUp ? .runtime(error.description) : .usage(error.description)
      }
    }
    return addresses
  }
}

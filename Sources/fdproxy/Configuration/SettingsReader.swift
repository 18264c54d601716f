import FDNet
import FDPoller
import ReverseProxy

/// Makes settings of a file's keys. It complains about what is wrong, and leaves that as it is by
/// default.
struct SettingsReader {
  let root: Section

  func read(_ overrides: Settings.Overrides) -> Settings {
    let mode: Mode = root.value("mode", Value.word) ?? .http
    var settings = Settings(mode == .http ? .http(http()) : .tcp(tcp()))
    settings.threads = root.value("threads", Value.threads) ?? settings.threads
    settings.threadGroups = root.value("thread-groups", Value.threads)
    settings.io = root.value("io", Value.word) ?? settings.io
    settings.processors = root.values("pin", Value.processor).map(\.value)
    settings.logLevel = root.value("log-level", Value.logLevel) ?? settings.logLevel
    if mode == .http {
      settings.takeoverPath = root.value("takeover", Value.path)
    } else if overrides.takeoverPath != nil {
      root.complain("--takeover has no meaning with mode: tcp", at: root.place(of: "mode"))
    }
    settings.override(with: overrides)
    checkThreads(settings)
    root.finish(elsewhere: Self.placesOfFlags)
    return settings
  }

  /// Where the file has what a flag of this name says.
  private static let placesOfFlags = [
    "connect-timeout": "connect in timeouts", "client-header-timeout": "client-header in timeouts",
    "client-body-timeout": "client-body in timeouts", "server-timeout": "server in timeouts",
    "keep-alive-timeout": "keep-alive in timeouts", "tunnel-timeout": "tunnel in timeouts",
    "client-timeout": "client in timeouts", "idle-timeout": "idle in timeouts",
    "max-connections": "connections in limits",
    "max-connections-per-address": "connections-per-address in limits",
    "max-request-line": "request-line in limits", "max-head": "head in limits",
    "max-fields": "fields in limits", "max-per-backend": "connections-per-backend",
    "health-path": "path in health-check", "health-interval": "interval in health-check",
    "health-timeout": "timeout in health-check", "health-rise": "rise in health-check",
    "health-fall": "fall in health-check", "reuse": "reuse in pool",
    "idle-per-destination": "idle-per-destination in pool", "idle-in-all": "idle-in-all in pool",
    "idle-time": "idle-time in pool", "purge-interval": "purge-interval in pool",
    "host": "host in forwarding", "x-forwarded-for": "x-forwarded-for in forwarding",
    "forwarded": "forwarded in forwarding", "via": "via in forwarding",
    "access-log-format": "format in access-log", "backend": "backends", "route": "routes",
  ]

  private func checkThreads(_ settings: Settings) {
    do {
      _ = try settings.pollerConfiguration.validated()
    } catch {
      guard case .invalidConfiguration(let text) = error else { return }
      root.complain(
        text, at: root.place(of: "threads") ?? root.place(of: "thread-groups") ?? root.start)
    }
  }

  // MARK: What both modes have

  func listen() -> [NamedAddress] {
    root.someValues(
      "listen", example: "where clients connect, as listen: 127.0.0.1:8080", Value.address)
  }

  func sharing() -> Listener.Sharing? {
    let accept: AcceptMode? = root.value("accept", Value.word)
    return accept?.sharing
  }

  func backends(of section: Section) -> [NamedAddress] {
    section.someValues(
      "backends", example: "where clients are forwarded, as backends: [127.0.0.1:9000]",
      Value.address)
  }
}

// MARK: - Bytes

extension SettingsReader {
  private static let meaningless = "it has no meaning with mode: tcp"

  func tcp() -> TCPProxyConfiguration {
    root.refuse(
      [
        "groups", "routes", "pool", "forwarding", "trust", "proxy-protocol", "access-log", "admin",
        "takeover",
      ] + Self.groupKeys.filter { $0 != "balance" }, Self.meaningless)
    var proxy = TCPProxyConfiguration(listen: listen(), backends: backends(of: root))
    proxy.balance = root.value("balance", Value.word) ?? proxy.balance
    proxy.sharing = sharing() ?? proxy.sharing
    proxy.spares = root.value("spare", Value.any) ?? proxy.spares
    proxy.drainTime = root.value("drain-seconds", Value.time) ?? proxy.drainTime
    if let timeouts = root.section("timeouts") {
      timeouts.refuse(
        ["client-header", "client-body", "keep-alive", "tunnel"], Self.meaningless)
      timeouts.limit("connect", &proxy.connectTimeout)
      timeouts.limit("client", &proxy.clientTimeout)
      timeouts.limit("server", &proxy.serverTimeout)
      timeouts.limit("idle", &proxy.idleTimeout)
      timeouts.finish()
    }
    if let limits = root.section("limits") {
      limits.refuse(
        ["request-line", "head", "fields", "connections-per-address"], Self.meaningless)
      limits.limit("connections", &proxy.maximumSessions)
      limits.finish()
    }
    return proxy
  }
}

extension Section {
  /// A time where 0 is for ever.
  func limit(_ key: String, _ limit: inout Duration?) {
    if let time = value(key, Value.time) { limit = time.unlessZero }
  }

  /// A number where 0 is no limit.
  func limit(_ key: String, _ limit: inout Int?) {
    if let number = value(key, Value.any) { limit = number.unlessZero }
  }

  /// A value that stays as it is without the key.
  func set<Result>(
    _ key: String, _ place: inout Result, _ read: (String) throws(InvalidValue) -> Result
  ) {
    if let value = value(key, read) { place = value }
  }
}

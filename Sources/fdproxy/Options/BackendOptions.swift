import ArgumentParser
import FDNet
import ReverseProxy

private let defaults = BackendGroupConfiguration(name: "", backends: [])
private let check = BackendGroupConfiguration.HealthCheck()
private let pool = PoolLimits()

/// Where requests go.
struct BackendOptions: ParsableArguments {
  @Option(
    help: help(
      "Where to forward clients; may be repeated. Backends of one name before the = are a group.",
      "[group=]address"),
    transform: GroupedBackend.init)
  var backend: [GroupedBackend] = []

  @Option(
    help: help(
      "Which requests go to a group; may be repeated, the first that matches wins. What none "
        + "matches goes to the first group.", "[host][/path]=group"),
    transform: Value.route)
  var route: [HTTPProxyConfiguration.Route] = []

  @Option(help: help("Which backend gets the next request.", default: "round-robin"))
  var balance: Balance?

  @Option(
    help: help(
      "How many requests a backend has at a time; more wait.", "number", default: "0, no limit"),
    transform: Value.any)
  var maxPerBackend: Int?

  @Option(
    help: help(
      "How many requests wait; more are answered with 503.", "number",
      default: "\(defaults.queueLength)"),
    transform: Value.any)
  var queueLength: Int?

  @Option(
    help: help("How long they wait.", default: defaults.queueTimeout), transform: Value.time)
  var queueTimeout: Duration?

  @Option(
    help: help(
      "How often a request that may be repeated is tried again.", "number",
      default: "\(defaults.retries)"),
    transform: Value.retries)
  var retries: Int?
}

/// Whether a backend is well.
struct HealthOptions: ParsableArguments {
  @Flag(
    inversion: .prefixedNo,
    help: "Ask backends from time to time; another --health flag says so, too.")
  var healthChecks: Bool?

  @Option(
    help: help("What they are asked for; none is a connection only.", "path", default: "/"),
    transform: HealthPath.init)
  var healthPath: HealthPath?

  @Option(help: help("How often.", default: check.interval), transform: Value.positiveTime)
  var healthInterval: Duration?

  @Option(
    help: help("How long they may take.", default: check.timeout), transform: Value.positiveTime)
  var healthTimeout: Duration?

  @Option(
    help: help("So many good answers make a backend well.", "number", default: "\(check.rise)"),
    transform: Value.atLeastOne)
  var healthRise: Int?

  @Option(
    help: help("So many bad ones make it ill.", "number", default: "\(check.fall)"),
    transform: Value.atLeastOne)
  var healthFall: Int?

  @Option(
    help: help(
      "So many failures in a row leave a backend out for a while; 0: never.", "number",
      default: "\(defaults.ejectAfter)"),
    transform: Value.any)
  var ejectAfter: Int?

  @Option(help: help("For how long.", default: defaults.ejectTime), transform: Value.time)
  var ejectTime: Duration?
}

/// Connections to backends that wait for their next use.
struct PoolOptions: ParsableArguments {
  @Option(help: help("When a connection is used again.", default: "safe"))
  var reuse: ReusePolicy?

  @Option(
    help: help("How many wait for each address.", "number", default: "\(pool.idlePerDestination)"),
    transform: Value.any)
  var idlePerDestination: Int?

  @Option(
    help: help("How many wait in all.", "number", default: "\(pool.idleInAll)"),
    transform: Value.any)
  var idleInAll: Int?

  @Option(help: help("How long they wait at most.", default: pool.idleTime), transform: Value.time)
  var idleTime: Duration?

  @Option(
    help: help("How often those that are not needed are closed.", default: pool.purgeInterval),
    transform: Value.positiveTime)
  var purgeInterval: Duration?
}

/// A backend, and the group that it is in.
struct GroupedBackend: Sendable {
  let group: String
  let address: String

  init(_ text: String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    // The path of a Unix-domain socket may have an = in it.
    if parts.count == 2, Value.isGroupName(parts[0]) {
      (group, address) = (String(parts[0]), String(parts[1]))
    } else {
      (group, address) = (SettingsReader.defaultGroup, text)
    }
  }
}

struct HealthPath: Sendable {
  /// Nil asks for a connection only.
  let value: String?

  init(_ text: String) throws(InvalidValue) { value = try Value.healthPath(text) }
}

extension Value {
  /// A route as `[HOST][/PATH]=GROUP`.
  @Sendable static func route(
    _ text: String
  ) throws(InvalidValue) -> HTTPProxyConfiguration.Route {
    guard let sign = text.lastIndex(of: "=") else {
      throw InvalidValue("write it as [HOST][/PATH]=GROUP, for example /api=api")
    }
    let (place, group) = (text[..<sign], text[text.index(after: sign)...])
    let slash = place.firstIndex(of: "/") ?? place.endIndex
    let (host, path) = (String(place[..<slash]), String(place[slash...]))
    return HTTPProxyConfiguration.Route(
      host: host.isEmpty ? nil : try hostPattern(host),
      pathPrefix: path.isEmpty ? nil : try pathPrefix(path),
      group: try groupName(String(group)))
  }
}

import ArgumentParser
import Glibc
import Logging
import ReverseProxy

/// `fdproxy serve`, which is also what `fdproxy` alone means: runs a proxy until a signal ends it.
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Forward requests or connections to the backends, until SIGTERM or SIGINT.",
    discussion: """
      An ADDRESS is 127.0.0.1:8080, [::1]:8080, *:8080, unix:/path, or a host name with a port. \
      A TIME is in seconds, as 5 or 0.5, or has a unit: 500ms, 5s, 1m, 1h. BYTES are a number, \
      or have a unit: 8K, 1M.

      A file says everything that flags say, and more: a YAML file with the same words.

      SIGTERM and SIGINT drain: no new clients, and what has begun may finish. A second one ends \
      at once. SIGUSR1 prints counters to the standard error stream.
      """)

  @Option(help: help("What to speak.", default: "http"))
  var mode: Mode?

  @Option(
    help: help(
      "Read everything from this file; only the flags of the process hold beside it.", "file"))
  var config: String?

  @Flag(help: "Say whether the file of --config is fine, and end.")
  var check = false

  @OptionGroup(title: "Clients") var clients: ClientOptions
  @OptionGroup(title: "Backends") var backends: BackendOptions
  @OptionGroup(title: "Health of backends") var health: HealthOptions
  @OptionGroup(title: "Connections to backends") var pool: PoolOptions
  @OptionGroup(title: "Requests on their way") var forwarding: ForwardingOptions
  @OptionGroup(title: "Timeouts (0 is for ever)") var timeouts: TimeoutOptions
  @OptionGroup(title: "Only with --mode tcp") var tcp: TCPOptions
  @OptionGroup(title: "Seeing it") var sight: SightOptions
  @OptionGroup(title: "Process (also with --config)") var process: ProcessOptions
  @OptionGroup(title: "Threads") var placement: PlacementOptions

  func validate() throws {
    if let config {
      try refuseFlags(beside: config)
    } else {
      if check { throw ValidationError("--check has nothing to check: give it --config FILE") }
      try refuseMeaninglessFlags()
      if clients.listen.isEmpty {
        throw ValidationError("no --listen: where should clients connect?")
      }
      if backends.backend.isEmpty {
        throw ValidationError("no --backend: where should they be forwarded?")
      }
    }
  }

  func run() throws {
    let settings = try settings()
    if check { return report(settings) }
    // Before the poller, which sizes its table by the limit.
    try DescriptorLimit.raise()
    let logger = Logger.toStandardError(label: "fdproxy", level: settings.logLevel)
    for warning in settings.warnings { logger.warning("\(warning)") }
    switch settings.service {
    case .http: try runHTTP(settings, logger)
    case .tcp(let proxy):
      try Lifetime.run(settings.pollerConfiguration, logger) { poller, whenDrained in
        TCPProxy(proxy, on: poller, logger, whenDrained: whenDrained)
      }
    }
  }

  private func settings() throws -> Settings {
    guard let config else { return try flagSettings() }
    return try Settings.read(config, process.overrides)
  }

  private func report(_ settings: Settings) {
    let path = settings.configPath ?? ""
    for warning in settings.warnings {
      StandardStream.error.write("\(path): warning: \(warning)\n")
    }
    StandardStream.output.write("\(path): fine: \(settings.summary)\n")
  }
}

// MARK: - Flags that do not go together

extension Serve {
  private static let tcpOnly: Set = ["--client-timeout", "--idle-timeout", "--spare"]
  /// Beside those of the process.
  private static let common: Set = [
    "--accept", "--backend", "--balance", "--connect-timeout", "--drain-seconds", "--listen",
    "--max-connections", "--pin", "--server-timeout", "--thread-groups",
  ]

  /// Of those that a file says, too.
  private var givenFlags: [String] {
    GivenFlags.of([
      clients, backends, health, pool, forwarding, timeouts, tcp, sight, placement,
    ])
  }

  private func refuseFlags(beside config: String) throws {
    guard let flag = (mode == nil ? [] : ["--mode"]).first ?? givenFlags.first else { return }
    throw ValidationError(
      "\(flag) and --config exclude each other: say it in \(config.debugDescription); only "
        + "--threads, --io, --log-level, --takeover and --check stand beside --config")
  }

  private func refuseMeaninglessFlags() throws {
    switch mode ?? .http {
    case .http:
      if let flag = givenFlags.first(where: Self.tcpOnly.contains) {
        throw ValidationError("\(flag) has no meaning with --mode http, only with --mode tcp")
      }
    case .tcp:
      let both = Self.common.union(Self.tcpOnly)
      let flags = givenFlags + (process.takeover == nil ? [] : ["--takeover"])
      if let flag = flags.first(where: { !both.contains($0) }) {
        throw ValidationError("\(flag) has no meaning with --mode tcp, only with --mode http")
      }
    }
  }
}

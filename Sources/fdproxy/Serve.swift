import ArgumentParser
import FDNet
import FDPoller
import Glibc
import Logging

/// `fdproxy serve`, which is also what `fdproxy` alone means: runs a proxy until a signal ends it.
struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Forward connections to the backends, until SIGTERM or SIGINT.",
    discussion: """
      An ADDRESS is 127.0.0.1:8080, [::1]:8080, *:8080, unix:/path, or a host name with a port.

      SIGTERM and SIGINT drain: no new clients, and the sessions may finish. A second one ends at \
      once. SIGUSR1 prints counters to the standard error stream.
      """)

  @Option(help: "What to speak.")
  var mode = Mode.tcp

  @Option(help: ArgumentHelp("Where to take clients; may be repeated.", valueName: "address"))
  var listen: [String] = []

  @Option(help: ArgumentHelp("Where to forward them; may be repeated.", valueName: "address"))
  var backend: [String] = []

  @Option(help: "How many threads.")
  var threads = 1

  @Option(help: "In how many groups the threads are; as few as possible if not given.")
  var groups: Int?

  @Option(help: "What the threads wait with; auto is io_uring where it can be had.")
  var io = IOBackend.epoll

  @Option(help: "Which backend gets the next client.")
  var balance = Balance.roundRobin

  @Option(help: ArgumentHelp("How long connecting to a backend may take.", valueName: "seconds"))
  var connectTimeout = Seconds(5)

  @Option(
    help: ArgumentHelp(
      "How long a client may neither send nor take anything while it is waited for; 0: for ever.",
      valueName: "seconds"))
  var clientTimeout = Seconds(0)

  @Option(help: ArgumentHelp("The same for a backend; 0: for ever.", valueName: "seconds"))
  var serverTimeout = Seconds(0)

  @Option(
    help: ArgumentHelp(
      "How long a session may rest on both sides; 0: for ever.", valueName: "seconds"))
  var idleTimeout = Seconds(3600)

  @Option(
    help: ArgumentHelp("How long sessions may go on after SIGTERM.", valueName: "seconds"))
  var drainSeconds = Seconds(30)

  @Option(help: "Whether each thread has a listening socket, or a group shares one.")
  var accept = AcceptMode.perLoop

  @Option(help: "How many connections to keep open in advance, for each backend.")
  var spare = 0

  @Option(help: "How many clients at a time; more are turned away. 0: no limit.")
  var maxConnections = 0

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Pin the threads to these processors, in turn.", valueName: "processor"))
  var pin: [Int] = []

  @Option(
    help: ArgumentHelp("trace, debug, info, notice, warning, error or critical."),
    transform: { text in
      guard let level = Logger.Level(rawValue: text) else {
        throw ValidationError("it is none of trace, debug, info, notice, warning, error, critical")
      }
      return level
    })
  var logLevel = Logger.Level.info

  func validate() throws {
    if listen.isEmpty { throw ValidationError("no --listen: where should clients connect?") }
    if backend.isEmpty { throw ValidationError("no --backend: where should they be forwarded?") }
    if spare < 0 || maxConnections < 0 {
      throw ValidationError("--spare and --max-connections cannot be negative")
    }
    if pin.contains(where: { $0 < 0 }) { throw ValidationError("--pin takes processor numbers") }
  }

  func run() throws {
    // Before the poller, which sizes its table by the limit.
    try DescriptorLimit.raise()
    let logger = Logger.toStandardError(label: "fdproxy", level: logLevel)
    try Lifetime.run(try proxyConfiguration(), try pollerConfiguration(), logger)
  }
}

extension Serve {
  private func pollerConfiguration() throws -> PollerConfiguration {
    var configuration = PollerConfiguration(threads: threads, groups: groups)
    configuration.io = io
    configuration.processors = pin
    configuration.name = "fdproxy"
    configuration.logger = .toStandardError(label: "fd-poller", level: logLevel)
    return configuration
  }

  private func proxyConfiguration() throws -> ProxyConfiguration {
    var configuration = ProxyConfiguration(
      listen: try listen.map(Self.resolve), backends: try backend.map(Self.resolve))
    configuration.balance = balance
    configuration.connectTimeout = connectTimeout.limit
    configuration.clientTimeout = clientTimeout.limit
    configuration.serverTimeout = serverTimeout.limit
    configuration.idleTimeout = idleTimeout.limit
    configuration.drainTime = drainSeconds.duration
    configuration.sharing = accept.sharing
    configuration.spares = spare
    configuration.maximumSessions = maxConnections == 0 ? nil : maxConnections
    return configuration
  }

  private static func resolve(_ text: String) throws -> NamedAddress {
    do {
      return NamedAddress(name: text, addresses: try SocketAddress.resolve(text))
    } catch {
      throw error.isLookUp ? Failure.runtime("\(error)") : Failure.usage("\(error)")
    }
  }
}

/// The limit of open descriptors.
enum DescriptorLimit {
  /// Below this not even a handful of sessions fits beside the program's own descriptors.
  private static let least = 64
  private static let most = 1 << 20

  /// Raises the soft limit as far as it goes.
  static func raise() throws(Failure) {
    let limit = Poller.raiseDescriptorLimit(to: most)
    guard limit >= least else {
      throw .runtime(
        "the limit of open descriptors is \(limit), and at least \(least) are needed: "
          + "raise it, for example with ulimit -n 1024")
    }
  }
}

extension Logger {
  static func toStandardError(label: String, level: Level) -> Logger {
    var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = level
    return logger
  }
}

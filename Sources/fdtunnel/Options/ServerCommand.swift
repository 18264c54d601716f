import ArgumentParser
import FDNet
import Logging

/// `fdtunnel server`: runs a server until a signal ends it.
struct ServerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "server",
    abstract: "Take agents and clients, and carry each client to its agent.",
    discussion: """
      An ADDRESS is 127.0.0.1:8080, [::1]:8080, *:8080, unix:/path, or a host name with a port. \
      A TIME is in seconds, as 5 or 0.5, or has a unit: 500ms, 5s, 1m, 1h. An ID, and the name of \
      a SERVICE, is "default" where it is left out.

      Nothing is encrypted: put it behind something that does that, or into a private network.
      """)

  @Option(help: help("Where agents register.", "address"), transform: Value.address)
  var agents: SocketAddress

  @Option(
    help: help(
      "Where clients connect, and which agent's service they get there; may be repeated.",
      "[id[/service]=]address"),
    transform: Value.route)
  var clients: [Route] = []

  @Option(help: help("The token that every agent has to show: a file with one line.", "file"))
  var tokenFile: String?

  @Option(
    help: help(
      "A program that gets an agent's id and token as two lines on its standard input, and exits "
        + "with 0 if it may register, with 1 if not.", "program"))
  var authorize: String?

  @Option(
    help: help(
      "Where to POST an agent's token, with its id in the field Tunnel-Id; 2xx is yes, 401 and "
        + "403 are no.", "url"),
    transform: Value.url)
  var authorizeURL: TargetURL?

  @Option(
    help: help("How long the check of a token may take (default: 30).", "time"),
    transform: Value.positiveTime)
  var authorizeTimeout: Duration = .seconds(30)

  @Option(
    help: help(
      "For how long an agent that may register is not checked again (default: 10).", "time"),
    transform: Value.time)
  var authorizeMemory: Duration = .seconds(10)

  @Option(
    help: help("How long a client waits for its agent (default: 10).", "time"),
    transform: Value.time)
  var wait: Duration = .seconds(10)

  @OptionGroup(title: "Process") var process: ProcessOptions

  func validate() throws {
    if clients.isEmpty { throw ValidationError("no --clients: where should clients connect?") }
    let given = [tokenFile != nil, authorize != nil, authorizeURL != nil].count { $0 }
    guard given == 1 else {
      throw ValidationError(
        "give one of --token-file, --authorize and --authorize-url: who may register as an agent?")
    }
  }

  func run() throws {
    let logger = Logger.toStandardError(label: "fdtunnel", level: process.logLevel)
    let settings = ServerSettings(
      agents: agents, routes: clients, authorization: authorization,
      authorizeTimeout: authorizeTimeout, authorizeMemory: authorizeMemory, wait: wait,
      heartbeat: process.heartbeat)
    try Lifetime.run(process, logger) { poller, ending in
      try TunnelServer(settings, on: poller, ending, logger)
    }
  }

  private var authorization: ServerSettings.Authorization {
    if let tokenFile { return .tokenFile(tokenFile) }
    if let authorize { return .command(authorize) }
    guard let authorizeURL else { preconditionFailure("one of the three is given") }
    return .url(authorizeURL)
  }
}

import ArgumentParser
import Logging

/// `fdtunnel agent`: runs an agent until a signal ends it, or the server refuses it for good.
struct AgentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agent",
    abstract: "Dial a server, and lead its clients to services here.",
    discussion: """
      An ADDRESS is 127.0.0.1:8080, [::1]:8080, unix:/path, or a host name with a port. A TIME is \
      in seconds, as 5 or 0.5, or has a unit: 500ms, 5s, 1m, 1h.

      It dials again, after a while, whenever it has lost the server. It ends with 1 if the \
      server says that its token is not valid.
      """)

  @Option(help: help("Where the server takes agents.", "address"), transform: Value.target)
  var server: String

  @Option(
    help: help("What the server knows this agent by (default: default).", "id"), transform: Value.id
  )
  var id: SessionID = .ordinary

  @Option(help: help("The token that the server asks for: a file with one line.", "file"))
  var tokenFile: String

  @Option(
    help: help("Where clients are led; may be repeated, with a name each.", "[name=]address"),
    transform: Value.service)
  var service: [NamedService] = []

  @Option(
    help: help(
      "How many clients a service has at a time; more are reset (default: no limit).", "number"),
    transform: Value.count(1...1_000_000))
  var limit: Int = 1_000_000

  @Option(
    help: help("How many clients this agent has at a time (default: 4096).", "number"),
    transform: Value.count(1...1_000_000))
  var maxStreams: Int = 4096

  @Option(
    help: help(
      "How long a connection to the server or to a service may take (default: 10).", "time"),
    transform: Value.positiveTime)
  var connectTimeout: Duration = .seconds(10)

  @Option(
    help: help("How long the server may take to check the token (default: 60).", "time"),
    transform: Value.positiveTime)
  var registerTimeout: Duration = .seconds(60)

  @Option(
    help: help(
      "How long to wait at most until the server is dialled again; twice as long each time, up to "
        + "30 s (default: 2).", "time"),
    transform: Value.positiveTime)
  var retry: Duration = .seconds(2)

  @OptionGroup(title: "Process") var process: ProcessOptions

  func validate() throws {
    if service.isEmpty { throw ValidationError("no --service: where should clients be led?") }
    let names = Dictionary(grouping: service, by: \.name)
    if let (name, _) = names.first(where: { $0.value.count > 1 }) {
      throw ValidationError("there are two services called \(name): give each a name of its own")
    }
  }

  func run() throws {
    let logger = Logger.toStandardError(label: "fdtunnel", level: process.logLevel)
    // Now, and again for each attempt.
    _ = try AgentToken.read(tokenFile)
    let services = Dictionary(uniqueKeysWithValues: service.map { ($0.name, $0.address) })
    let settings = AgentSettings(
      server: server, id: id, tokenPath: tokenFile, services: services, limit: limit,
      maxStreams: maxStreams, heartbeat: process.heartbeat, connectTimeout: connectTimeout,
      registerTimeout: registerTimeout, retry: retry)
    try Lifetime.run(process, logger) { poller, ending in
      TunnelAgent(settings, on: poller, ending, logger)
    }
  }
}

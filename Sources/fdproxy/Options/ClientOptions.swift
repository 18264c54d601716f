import ArgumentParser
import ReverseProxy

private let defaults = HTTPProxyConfiguration(listen: [], groups: [])

/// Who is served, and how many of them.
struct ClientOptions: ParsableArguments {
  @Option(help: help("Where to take clients; may be repeated.", "address"))
  var listen: [String] = []

  @Option(
    help: help(
      "Whether each thread has a listening socket, or a group shares one.",
      default: "per-loop"))
  var accept: AcceptMode?

  @Option(
    help: help(
      "How many clients at a time; more are turned away.", "number", default: "0, no limit"),
    transform: Value.any)
  var maxConnections: Int?

  @Option(
    help: help("The same for each address of a client.", "number", default: "0, no limit"),
    transform: Value.any)
  var maxConnectionsPerAddress: Int?

  @Option(
    help: help(
      "Whose X-Forwarded-For and Forwarded are believed, as 10.0.0.0/8; may be repeated.", "cidr"))
  var trust: [String] = []

  @Flag(help: "Those that are trusted begin each connection with a PROXY header.")
  var proxyProtocol = false

  @Option(
    help: help(
      "The longest first line of a request.", "bytes",
      default: "\(defaults.limits.requestLineBytes)"),
    transform: Value.lineBytes)
  var maxRequestLine: Int?

  @Option(
    help: help("The longest head of a message.", "bytes", default: "\(defaults.limits.headBytes)"),
    transform: Value.headBytes)
  var maxHead: Int?

  @Option(
    help: help("The most fields of a head.", "number", default: "\(defaults.limits.fields)"),
    transform: Value.fields)
  var maxFields: Int?
}

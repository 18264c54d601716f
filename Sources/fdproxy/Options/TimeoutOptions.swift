import ArgumentParser
import ReverseProxy

private let defaults = HTTPProxyConfiguration(listen: [], groups: [])
private let bytes = TCPProxyConfiguration(listen: [], backends: [])

/// How long everything may take; 0 is for ever.
struct TimeoutOptions: ParsableArguments {
  @Option(
    help: help("To connect to a backend.", default: defaults.timeouts.connect),
    transform: Value.time)
  var connectTimeout: Duration?

  @Option(
    help: help(
      "From the first byte of a request to the end of its head.",
      default: defaults.timeouts.clientHeader),
    transform: Value.time)
  var clientHeaderTimeout: Duration?

  @Option(
    help: help(
      "Between two pieces of a request's body, and until the client takes more of a response.",
      default: defaults.timeouts.clientBody),
    transform: Value.time)
  var clientBodyTimeout: Duration?

  @Option(
    help: help(
      "Until a backend answers, and between two pieces of its answer; with --mode tcp until it "
        + "sends or takes something, by default for ever.", default: defaults.timeouts.server),
    transform: Value.time)
  var serverTimeout: Duration?

  @Option(
    help: help("Between two requests of a client.", default: defaults.timeouts.keepAlive),
    transform: Value.time)
  var keepAliveTimeout: Duration?

  @Option(
    help: help("In a tunnel in which nothing moves.", default: defaults.timeouts.tunnel),
    transform: Value.time)
  var tunnelTimeout: Duration?

  @Option(
    help: help("For what has begun before SIGTERM.", default: defaults.drainTime),
    transform: Value.time)
  var drainSeconds: Duration?
}

/// What only `--mode tcp` has.
struct TCPOptions: ParsableArguments {
  @Option(
    help: help(
      "How long a client may neither send nor take anything while it is waited for.",
      default: bytes.clientTimeout),
    transform: Value.time)
  var clientTimeout: Duration?

  @Option(
    help: help("How long a session may rest on both sides.", default: bytes.idleTimeout),
    transform: Value.time)
  var idleTimeout: Duration?

  @Option(
    help: help(
      "How many connections to keep open in advance, for each backend.", "number", default: "0"),
    transform: Value.any)
  var spare: Int?
}

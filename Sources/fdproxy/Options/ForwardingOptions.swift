import ArgumentParser
import ReverseProxy

private let defaults = HTTPProxyConfiguration(listen: [], groups: [])

/// What of a request is changed on its way.
struct ForwardingOptions: ParsableArguments {
  @Option(
    help: help(
      "The host that backends see: preserve is the client's, backend is the backend's address.",
      "preserve|backend|name", default: "preserve"),
    transform: Value.host)
  var host: HTTPProxyConfiguration.Forwarding.Host?

  @Flag(
    inversion: .prefixedNo, help: "Tell backends the client's address in X-Forwarded-For. (default)"
  )
  var xForwardedFor: Bool?

  @Flag(inversion: .prefixedNo, help: "Tell it in Forwarded (RFC 7239).")
  var forwarded: Bool?

  @Option(
    help: help("What the proxy calls itself in Via; none sends none.", "name", default: "fdproxy"),
    transform: ViaName.init)
  var via: ViaName?
}

struct ViaName: Sendable {
  /// Nil sends none.
  let value: String?

  init(_ text: String) throws(InvalidValue) { value = try Value.via(text) }
}

/// What can be seen of the proxy.
struct SightOptions: ParsableArguments {
  @Option(
    help: help("The file that requests are written to; - is the standard output.", "path"),
    transform: Value.path)
  var accessLog: String?

  @Option(help: help("How.", default: "combined"))
  var accessLogFormat: AccessLogConfiguration.Format?

  @Option(help: help("Where /metrics, /stats and /fds are served.", "address"))
  var admin: String?
}

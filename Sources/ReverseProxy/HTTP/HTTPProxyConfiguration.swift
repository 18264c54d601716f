package import FDNet

/// What an HTTP proxy is to do. Fixed once it is in use: a reload makes another one.
package struct HTTPProxyConfiguration: Sendable {
  package var listen: [NamedAddress]
  /// At least one, each name once. The first serves what no route matches.
  package var groups: [BackendGroupConfiguration]
  /// In the order in which they are asked: the first that matches wins.
  package var routes: [Route] = []
  package var timeouts = Timeouts()
  package var limits = Limits()
  package var pool = Self.poolLimits
  package var forwarding = Forwarding()
  /// What these send of `X-Forwarded-For` and `Forwarded` is believed and passed on, and a PROXY
  /// header of theirs is read.
  package var trust = AddressRanges()
  /// Trusted peers begin each connection with a PROXY header, version 1 or 2.
  package var expectsProxyHeader = false
  package var accessLog: AccessLogConfiguration?
  /// Where `/metrics`, `/stats` and `/fds` are served.
  package var admin: NamedAddress?
  package var sharing = Listener.Sharing.socketPerLoop
  /// How long what has begun may go on once the proxy drains.
  package var drainTime: Duration = .seconds(30)

  /// Clients take descriptors as well as idle connections do: with the pool's own ratios a proxy
  /// whose clients have a fifth of all descriptors would keep no connection at all.
  private static var poolLimits: PoolLimits {
    var limits = PoolLimits()
    limits.lowDescriptorRatio = 0.7
    limits.highDescriptorRatio = 0.8
    return limits
  }

  package init(listen: [NamedAddress], groups: [BackendGroupConfiguration]) {
    self.listen = listen
    self.groups = groups
  }

  /// Nil is for ever.
  package struct Timeouts: Sendable {
    package var connect: Duration? = .seconds(5)
    /// From the first byte of a request to the end of its head; then 408.
    package var clientHeader: Duration? = .seconds(10)
    /// Between two pieces of a request's body, and for the client to take more of a response; then
    /// 408.
    package var clientBody: Duration? = .seconds(30)
    /// Until a backend has answered, and between two pieces of its answer; then 504.
    package var server: Duration? = .seconds(60)
    /// Between two requests of one client.
    package var keepAlive: Duration? = .seconds(60)
    /// For a tunnel in which nothing moves.
    package var tunnel: Duration? = .seconds(3600)

    package init() {}
  }

  package struct Limits: Sendable {
    /// Bytes of a request's first line; then 414.
    package var requestLineBytes = 8 << 10
    /// Bytes of a whole head; then 431 for a request, 502 for a response.
    package var headBytes = 32 << 10
    /// Fields in a head or a trailer section; then the same.
    package var fields = 100
    /// Clients at a time; more are turned away.
    package var connections: Int?
    /// The same for the clients of one address.
    package var connectionsPerAddress: Int?

    package init() {}
  }

  /// What of a request is changed on its way.
  package struct Forwarding: Sendable {
    package enum Host: Sendable, Equatable {
      /// As the client has sent it.
      case preserved
      /// The backend's address as it is configured.
      case backend
      case fixed(String)
    }

    package var host = Host.preserved
    package var addsForwardedFor = true
    /// RFC 7239.
    package var addsForwarded = false
    /// The name by which the proxy calls itself in `Via` (RFC 9110, section 7.6.3); nil adds none.
    package var via: String? = "fdproxy"

    package init() {}
  }

  /// Which requests go to a group.
  package struct Route: Sendable, Equatable {
    /// In lower case, without a port; `*.example.org` is every host below it. Nil is any.
    package var host: String?
    /// Whole segments of the path, `/api` matches `/api` and `/api/x` but not `/apis`. Nil is any.
    package var pathPrefix: String?
    package var group: String

    package init(host: String? = nil, pathPrefix: String? = nil, group: String) {
      self.host = host
      self.pathPrefix = pathPrefix
      self.group = group
    }
  }
}

/// Servers that answer the same requests.
package struct BackendGroupConfiguration: Sendable {
  package var name: String
  /// At least one.
  package var backends: [NamedAddress]
  package var balance = Balance.roundRobin
  /// Requests that one backend has at a time; more wait. Nil is any number.
  package var connectionsPerBackend: Int?
  /// Requests that wait for a backend; more are answered with 503.
  package var queueLength = 1024
  /// How long they wait; then 503.
  package var queueTimeout: Duration = .seconds(10)
  /// On how many connections more a request that may be repeated is tried.
  package var retries = 3
  package var healthCheck: HealthCheck?
  /// After so many failures in a row a backend is left out for a while; 0 is never.
  package var ejectAfter = 5
  package var ejectTime: Duration = .seconds(10)

  /// Asks a backend from time to time whether it is well.
  package struct HealthCheck: Sendable, Equatable {
    /// What is asked for; nil asks for a connection only.
    package var path: String? = "/"
    package var interval: Duration = .seconds(2)
    package var timeout: Duration = .seconds(2)
    /// So many good answers in a row make it well, so many bad ones ill.
    package var rise = 2
    package var fall = 3

    package init() {}
  }

  package init(name: String, backends: [NamedAddress]) {
    self.name = name
    self.backends = backends
  }
}

package struct AccessLogConfiguration: Sendable, Equatable {
  package enum Format: String, Sendable, CaseIterable { case combined, json }

  /// Of the file; `-` is the standard output.
  package var path: String
  package var format = Format.combined

  package init(path: String, format: Format = .combined) {
    self.path = path
    self.format = format
  }
}

import FDHTTP
package import FDNet
import FDPoller

/// Where requests go, and how they are changed on the way. Fixed: a reload makes another one.
package final class ProxyPlan: Sendable {
  package let configuration: HTTPProxyConfiguration
  package let groups: [BackendGroup]
  let routes: [(route: HTTPProxyConfiguration.Route, group: BackendGroup)]
  let timeouts: Timeouts
  /// The lines that say that a message came through here, by its minor version; empty for none.
  let via: ([UInt8], [UInt8])
  let addsForwardedFor: Bool
  let addsForwarded: Bool
  let reuse: ReusePolicy
  package let pool: ConnectionPool

  /// In nanoseconds; nil is for ever.
  struct Timeouts {
    let server, tunnel: UInt64?
  }

  /// - Parameters:
  ///   - configuration: checked.
  ///   - pool: of the connections to backends.
  ///   - known: backends of an earlier plan, by name: they keep their counts and their health.
  init(
    _ configuration: HTTPProxyConfiguration, _ pool: ConnectionPool, known: [String: Backend] = [:]
  ) {
    self.pool = pool
    self.configuration = configuration
    var backends = known
    var groups: [BackendGroup] = []
    for group in configuration.groups {
      let members = group.backends.map { address in
        if let backend = backends[address.name],
          backend.endpoints.map(\.address) == address.addresses
        {
          return backend
        }
        let backend = Backend(address)
        backends[address.name] = backend
        return backend
      }
      groups.append(BackendGroup(group, backends: members))
    }
    self.groups = groups
    routes = configuration.routes.compactMap { route in
      groups.first { $0.configuration.name == route.group }.map { (route, $0) }
    }
    addsForwardedFor = configuration.forwarding.addsForwardedFor
    reuse = configuration.pool.reuse
    addsForwarded = configuration.forwarding.addsForwarded
    let name = configuration.forwarding.via
    via = (
      Array((name.map { "Via: 1.0 \($0)\r\n" } ?? "").utf8),
      Array((name.map { "Via: 1.1 \($0)\r\n" } ?? "").utf8)
    )
    timeouts = Timeouts(
      server: configuration.timeouts.server?.wholeNanoseconds,
      tunnel: configuration.timeouts.tunnel?.wholeNanoseconds)
  }

  /// Every backend once.
  package var backends: [String: Backend] {
    groups.reduce(into: [:]) { all, group in
      for backend in group.balancer.backends { all[backend.name] = backend }
    }
  }

  func appendVia(_ minorVersion: UInt8, to output: HTTPOutput) {
    output.append((minorVersion == 0 ? via.0 : via.1).span.bytes)
  }

  /// The group that answers a request.
  func group(for head: borrowing HTTPRequestHead) -> BackendGroup {
    if routes.isEmpty { return groups[0] }
    let host = RouteText.host(of: head.authority)
    let path = RouteText.path(of: head.pathAndQuery)
    for (route, group) in routes {
      if let wanted = route.host, !RouteText.matches(host, wanted) { continue }
      if let prefix = route.pathPrefix, !RouteText.begins(path, with: prefix) { continue }
      return group
    }
    return groups[0]
  }
}

import FDHTTP
package import FDNet
import FDPoller

extension HTTPProxy {
  /// Deals with requests by another configuration from now on. Requests under way keep to the one
  /// that they have begun with, and no connection is dropped. All or nothing: if an address cannot
  /// be listened at, everything stays as it is. Not on a loop, and one at a time.
  ///
  /// Listeners that stay keep their sharing and their client timeout.
  ///
  /// - Parameter configuration: checked.
  /// - Returns: where it listens now: nowhere if a drain has begun.
  /// - Throws: `ListenError` for the first address that is refused.
  package func reload(
    _ configuration: HTTPProxyConfiguration
  ) throws(ListenError) -> [SocketAddress] {
    let before = shared.withLock(\.self)
    let old = before.plan.configuration
    let kept = before.listeners.filter { open in
      configuration.listen.contains { $0.isSame(as: open.named) }
    }
    var opened: [OpenListener] = []
    var admin = before.admin
    do {
      for named in configuration.listen where !old.listen.contains(where: named.isSame) {
        opened += try open(named, configuration)
      }
      if !isSame(before.admin?.named, configuration.admin) {
        admin = try openAdmin(configuration)
      }
    } catch {
      for open in opened { open.listener.close() }
      throw error
    }
    let keepsPool =
      old.pool == configuration.pool && old.timeouts.server == configuration.timeouts.server
    let pool = keepsPool ? before.plan.pool : Self.makePool(configuration, on: poller)
    let plan = ProxyPlan(configuration, pool, known: before.plan.backends)
    let health = HealthChecker(plan, on: poller, logger)
    let isLate = shared.withLock { shared in
      guard !shared.isDraining else { return true }
      shared.plan = plan
      shared.listeners = kept + opened
      shared.health = health
      shared.admin = admin
      return false
    }
    guard !isLate else {
      // A drain has begun, which does not know of what is new.
      for open in opened { open.listener.close() }
      if admin !== before.admin { admin?.close() }
      return []
    }
    for (loop, state) in zip(poller.loops, loops) { loop.run { state.plan = plan } }
    service.apply(configuration.serverSettings)
    if admin !== before.admin { before.admin?.close() }
    before.health?.stop()
    health.begin()
    for open in before.listeners
    where !kept.contains(where: { $0.listener === open.listener }) {
      open.listener.close()
    }
    if !keepsPool { before.plan.pool.close() }
    return (kept + opened).map(\.listener.address)
  }

  private func isSame(_ one: NamedAddress?, _ other: NamedAddress?) -> Bool {
    guard let one, let other else { return one == nil && other == nil }
    return one.isSame(as: other)
  }
}

extension NamedAddress {
  func isSame(as other: NamedAddress) -> Bool {
    name == other.name && addresses == other.addresses
  }
}

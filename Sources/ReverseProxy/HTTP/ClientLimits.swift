import FDNet
import Synchronization

/// Counts the clients, in all and by address. Callable from any thread.
final class ClientLimits: Sendable {
  private let total = Atomic(0)
  private let byAddress = Locked<[SocketAddress: Int]>([:])

  var count: Int { total.load(ordering: .relaxed) }

  /// Counts a client.
  ///
  /// - Returns: the limit that turns it away; nil if it may stay until `release`.
  func admit(_ client: SocketAddress, _ limits: HTTPProxyConfiguration.Limits) -> String? {
    let count = total.add(1, ordering: .relaxed).newValue
    if let most = limits.connections, count > most {
      total.subtract(1, ordering: .relaxed)
      return "--max-connections \(most)"
    }
    guard let mostPerAddress = limits.connectionsPerAddress else { return nil }
    let isAdmitted = byAddress.withLock { counts in
      let count = counts[client.host, default: 0] + 1
      guard count <= mostPerAddress else { return false }
      counts[client.host] = count
      return true
    }
    if isAdmitted { return nil }
    total.subtract(1, ordering: .relaxed)
    return "--max-connections-per-address \(mostPerAddress)"
  }

  /// - Parameter limits: those with which it was admitted.
  func release(_ client: SocketAddress, _ limits: HTTPProxyConfiguration.Limits) {
    total.subtract(1, ordering: .relaxed)
    guard limits.connectionsPerAddress != nil else { return }
    byAddress.withLock { counts in
      guard let count = counts[client.host] else { return }
      counts[client.host] = count > 1 ? count - 1 : nil
    }
  }
}

package import FDNet
import FDPoller
import Synchronization
import SystemPackage

extension HTTPProxy {
  private var allListeners: [Listener] {
    shared.withLock { $0.listeners.map(\.listener) + ($0.admin?.listeners ?? []) }
  }

  /// Copies of all listening descriptors, those of the admin address too, for a successor.
  ///
  /// - Throws: `ListenError` if there are none left, or a listener is closed.
  package func offers() throws(ListenError) -> [TakeoverServer.Offer] {
    var offers: [TakeoverServer.Offer] = []
    do throws(ListenError) {
      for listener in allListeners {
        offers.append((listener.address, try listener.duplicatedDescriptors()))
      }
    } catch {
      for copy in offers.flatMap(\.descriptors) { try? copy.close() }
      throw error
    }
    return offers
  }

  /// As `drain()`, but a successor has copies of the listening descriptors and accepts: no client is
  /// refused, and whoever asks at the admin address is answered by the successor. The files of Unix
  /// sockets stay.
  package func handOver() {
    for listener in shared.withLock({ $0.admin?.listeners ?? [] }) { listener.handOver() }
    drain { $0.handOver($1) }
  }
}

extension Listener {
  /// Goes on with the sockets of a predecessor, if it has some for the address, and otherwise with new
  /// ones. See `Listener.init(_:on:sharing:backlog:settings:makeHandler:)`.
  convenience init(
    _ takeover: Takeover?, _ address: SocketAddress, on poller: Poller,
    sharing: Sharing = .socketPerLoop, settings: ConnectionSettings = ConnectionSettings(),
    makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) throws(ListenError) {
    let descriptors = takeover?.descriptors(for: address) ?? []
    guard !descriptors.isEmpty else {
      try self.init(
        address, on: poller, sharing: sharing, settings: settings, makeHandler: makeHandler)
      return
    }
    try self.init(
      adopting: descriptors, at: address, on: poller, sharing: sharing, settings: settings,
      makeHandler: makeHandler)
  }
}

import FDNet
import FDPoller
import Synchronization

extension TCPProxy {
  /// The counters in words: the proxy's, the pool's, and each loop's.
  var report: String {
    var lines = ["sessions \(sessions)"]
    for (address, statistics) in listenerStatistics {
      lines.append(
        "listener \(address): accepted \(statistics.accepted), "
          + "turned away \(statistics.turnedAway), pauses \(statistics.pauses)")
    }
    for backend in balancer.backends {
      lines.append(
        "backend \(backend.name): sessions \(backend.sessions.load(ordering: .relaxed)), "
          + "connected \(backend.connected.load(ordering: .relaxed)), "
          + "failures \(backend.failures.load(ordering: .relaxed))")
    }
    if let spares = spares?.statistics {
      lines.append(
        "spares: idle \(spares.idle), taken on their own loop \(spares.reusedLocally), "
          + "taken over \(spares.takenOver), busy \(spares.busy), stale \(spares.stale), "
          + "opened \(spares.opened), purged \(spares.purged)")
    }
    return lines.joined(separator: "\n") + "\n\(poller.snapshot())\n"
  }
}

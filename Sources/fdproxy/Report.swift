import FDHTTP
import FDNet
import FDPoller
import ReverseProxy
import Synchronization

extension HTTPProxy {
  /// The counters in words: the proxy's, the pool's, and each loop's.
  var report: String {
    func sum(_ count: (ProxyCounts) -> LoopCount) -> Int {
      counts.reduce(0) { $0 + count($1).current }
    }
    let http = service.statistics
    var lines = [
      "clients \(clientCount), requests \(http.requests), refused \(http.refused), "
        + "late \(http.timeouts), cancelled \(http.cancelled), moves \(http.moves)",
      "answers "
        + (1...5).map { hundreds in "\(hundreds)xx \(sum { $0.answers[hundreds - 1] })" }
        .joined(separator: ", ") + "; of these the proxy's own \(sum(\.ownAnswers)); "
        + "cut off \(sum(\.cutOff)), retried \(sum(\.retries)), queued \(sum(\.queued)), "
        + "tunnels \(sum(\.tunnels))",
    ]
    for (address, statistics) in listenerStatistics {
      lines.append(
        "listener \(address): accepted \(statistics.accepted), "
          + "turned away \(statistics.turnedAway), pauses \(statistics.pauses)")
    }
    for (name, backend) in plan.backends.sorted(by: { $0.key < $1.key }) {
      lines.append(
        "backend \(name): requests \(backend.sessions.load(ordering: .relaxed)), "
          + "connected \(backend.connected.load(ordering: .relaxed)), "
          + "failures \(backend.failures.load(ordering: .relaxed)), "
          + (backend.health.isWell ? "well" : "ill"))
    }
    lines.append("pool: \(plan.pool.statistics.words)")
    return lines.joined(separator: "\n") + "\n\(poller.snapshot())\n"
  }
}

extension PoolStatistics {
  fileprivate var words: String {
    "idle \(idle), taken on their own loop \(reusedLocally), taken over \(takenOver), "
      + "busy \(busy), stale \(stale), opened \(opened), purged \(purged)"
  }
}

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
      lines.append("spares: \(spares.words)")
    }
    return lines.joined(separator: "\n") + "\n\(poller.snapshot())\n"
  }
}

import FDHTTP
import FDNet
import FDPoller
import Synchronization

extension HTTPProxy {
  /// All that is counted, at this moment. Callable from any thread; reads what the loops write and
  /// asks nothing of them.
  package var figures: [Figure] {
    let plan = plan
    return processFigures + clientFigures + requestFigures + groupFigures(plan)
      + backendFigures(plan) + poolFigures(plan.pool.statistics) + listenerFigures + logFigures
      + LoopFigures(poller.snapshot()).figures
  }

  private func sum(_ count: (ProxyCounts) -> LoopCount) -> Int {
    counts.reduce(0) { $0 + count($1).current }
  }

  // MARK: The process

  private var processFigures: [Figure] {
    [
      Figure(
        .gauge, "info", "How it runs; always 1.",
        [
          Figure.Sample(
            labels: [("io", poller.io.rawValue), ("threads", "\(poller.loops.count)")],
            number: .count(1))
        ]),
      Figure(
        .gauge, "start_time_seconds", "When it was started, since the beginning of 1970.", startTime
      ),
      Figure(
        .gauge, "descriptors", "Descriptors that are in the poller.", poller.core.liveDescriptors),
      Figure(
        .gauge, "descriptors_limit", "Descriptors that there can be.", poller.core.descriptorLimit),
    ]
  }

  // MARK: Clients and requests

  private var clientFigures: [Figure] {
    let http = service.statistics
    return [
      Figure(.gauge, "clients", "Clients that are connected.", clientCount),
      Figure(
        .counter, "clients_turned_away", "Clients over --max-connections or its like per address.",
        sum(\.clientsTurnedAway)),
      Figure(
        .counter, "client_moves", "Clients that arrived on a loop from another one.", http.moves),
      Figure(
        .counter, "client_timeouts", "Requests that the client did not bring to their end in time.",
        http.timeouts),
    ]
  }

  private var requestFigures: [Figure] {
    let http = service.statistics
    let heads = sum(\.refusedHeads)
    return [
      Figure(.counter, "requests", "Requests whose head was in order.", http.requests),
      Figure(
        .counter, "requests_refused", "Requests that broke a rule, by where they did.",
        [("head", heads), ("body", max(0, http.refused - heads))].map {
          Figure.Sample(labels: [("part", $0.0)], number: .count($0.1))
        }),
      Figure(
        .counter, "answers", "Answers by the hundreds of their status.",
        (0..<5).map { index in
          Figure.Sample(
            labels: [("class", "\(index + 1)xx")], number: .count(sum { $0.answers[index] }))
        }),
      Figure(
        .counter, "answers_own", "Answers in the proxy's own name, among the answers.",
        sum(\.ownAnswers)),
      Figure(
        .counter, "answers_cut_off", "Answers that a backend began and did not bring to their end.",
        sum(\.cutOff)),
      Figure(
        .counter, "requests_unanswered", "Requests whose client had gone before the answer.",
        sum(\.unanswered)),
      Figure(
        .counter, "requests_cancelled", "Requests that ended before both sides were complete.",
        http.cancelled),
      Figure(.counter, "retries", "Times that a request was sent once more.", sum(\.retries)),
      Figure(
        .counter, "requests_queued", "Requests that waited for a place at a backend.", sum(\.queued)
      ),
      Figure(.counter, "tunnels", "Connections that became tunnels (101).", sum(\.tunnels)),
      Figure(
        .counter, "received_bytes", "Of request bodies, and into tunnels.", sum(\.bytesFromClients)),
      Figure(
        .counter, "sent_bytes", "Of answers' bodies, and out of tunnels.", sum(\.bytesToClients)),
    ]
  }

  // MARK: Groups and backends

  private func groupFigures(_ plan: ProxyPlan) -> [Figure] {
    func figure(
      _ kind: Figure.Kind, _ name: String, _ help: String, _ number: (BackendGroup) -> Int
    ) -> Figure {
      Figure(
        kind, name, help,
        plan.groups.map {
          Figure.Sample(
            labels: [("group", $0.configuration.name)], number: .count(number($0)))
        })
    }
    return [
      figure(.gauge, "group_queue_length", "Requests that wait for a place now.", \.queueLength),
      figure(
        .counter, "group_turned_away",
        "Requests for which the queue was full or too slow, since the last reload."
      ) { $0.turnedAway.load(ordering: .relaxed) },
    ]
  }

  private func backendFigures(_ plan: ProxyPlan) -> [Figure] {
    let backends = plan.backends.sorted { $0.key < $1.key }.map(\.value)
    let now = EventLoop.clock()
    func figure(
      _ kind: Figure.Kind, _ name: String, _ help: String, _ number: (Backend) -> Int
    ) -> Figure {
      Figure(
        kind, name, help,
        backends.map {
          Figure.Sample(labels: [("backend", $0.name)], number: .count(number($0)))
        })
    }
    return [
      figure(.gauge, "backend_up", "Whether it gets requests: well, and not left out.") {
        $0.health.isWell && !$0.health.isEjected(at: now) ? 1 : 0
      },
      figure(.gauge, "backend_sessions", "Requests that it has now.") {
        $0.sessions.load(ordering: .relaxed)
      },
      figure(.counter, "backend_connected", "Times that a request had a connection to it.") {
        $0.connected.load(ordering: .relaxed)
      },
      figure(.counter, "backend_failures", "Times that it failed a request.") {
        $0.failures.load(ordering: .relaxed)
      },
      figure(.counter, "backend_ejections", "Times that it was left out for its failures.") {
        $0.health.ejections.load(ordering: .relaxed)
      },
    ]
  }

  // MARK: The pool

  private func poolFigures(_ pool: PoolStatistics) -> [Figure] {
    [
      Figure(.gauge, "pool_idle", "Connections to backends that wait for a request.", pool.idle),
      Figure(
        .counter, "pool_kept",
        "Connections that were put into the pool: idle, reused, taken over, "
          + "purged or stale since.", pool.kept),
      Figure(
        .counter, "pool_reused_locally", "Connections that their own loop used again.",
        pool.reusedLocally),
      Figure(
        .counter, "pool_taken_over", "Connections that another loop used again.", pool.takenOver),
      Figure(.counter, "pool_purged", "Idle connections that the pool closed.", pool.purged),
      Figure(
        .counter, "pool_stale", "Idle connections that ended without the pool.", pool.stale),
      Figure(
        .counter, "pool_busy", "Idle connections and lists that somebody else was at.", pool.busy),
      Figure(
        .counter, "pool_opened", "Connections that were made, or tried, for lack of an idle one.",
        pool.opened),
    ]
  }

  // MARK: Listeners and the log

  private var listenerFigures: [Figure] {
    // Several listeners may share an address.
    let listeners = Dictionary(
      grouping: listenerStatistics, by: { "\($0.address)" }
    ).sorted { $0.key < $1.key }
    func figure(
      _ name: String, _ help: String, _ number: (Listener.Statistics) -> Int
    ) -> Figure {
      Figure(
        .counter, name, help,
        listeners.map {
          let sum = $0.value.reduce(0) { $0 + number($1.statistics) }
          return Figure.Sample(labels: [("address", $0.key)], number: .count(sum))
        })
    }
    return [
      figure("listener_accepted", "Connections that were accepted.", \.accepted),
      figure("listener_turned_away", "Clients for whom no descriptor was left.", \.turnedAway),
      figure("listener_pauses", "Times that accepting rested for lack of something.", \.pauses),
    ]
  }

  private var logFigures: [Figure] {
    guard let statistics = log?.statistics else { return [] }
    return [
      Figure(.counter, "access_log_lines", "Lines that were handed over.", statistics.lines),
      Figure(
        .counter, "access_log_lost_lines", "Those of them that were never written.",
        statistics.lost),
    ]
  }
}

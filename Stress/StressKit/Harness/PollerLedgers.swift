import FDNet
import FDPoller

/// What every poller must leave behind, and what the counters of several come to.
enum PollerLedgers {
  /// The sum of what pollers that are gone had counted.
  final class Totals: Sendable {
    private let lock = PlatformLock()
    private nonisolated(unsafe) var sum: LoopSnapshot?

    func add(_ total: LoopSnapshot) {
      lock.withLock { sum = sum.map { $0.merging(total) } ?? total }
    }

    var value: LoopSnapshot? { lock.withLock { sum } }
  }

  /// The poller has stopped.
  ///
  /// - Parameter violate: called with what must hold, and how it does not.
  static func audit(_ poller: Poller, _ violate: (String, String) -> Void) {
    let snapshot = poller.snapshot()
    let total = snapshot.total
    let closes = total[.closesByDeleter] + total[.closesByLastLeaver]
    let gone = closes + total[.disowned] + total[.rawCloses]
    func balance(_ ledger: String, _ one: UInt64, _ other: UInt64) {
      if one != other { violate(ledger, "\(one) and \(other)") }
    }
    balance("one close for every insert", total[.descriptorsInserted], gone)
    balance("no descriptor is left in the poller", UInt64(snapshot.liveDescriptors), 0)
    balance("nobody closes behind the poller's back", total[.rawCloses], 0)
    // There are no copies of descriptors here, so there are no zombies.
    balance("no kernel poller is made anew", total[.kernelPollerRebuilds], 0)
    balance("no descriptor spins", total[.spinningDescriptors], 0)
    balance("no request is left in a ring", total[.ringRequestsAbandoned], 0)
    balance("no receive buffer is missing", total[.ringBuffersMissing], 0)
  }

  private static let shown: [(String, PollerCounter)] = [
    ("takeovers", .takeoversWon), ("takeovers busy", .takeoversBusy),
    ("takeovers gone", .takeoversGone), ("closes by deleter", .closesByDeleter),
    ("closes by last leaver", .closesByLastLeaver), ("disowned", .disowned),
    ("deletes too late", .deletesAlreadyGone), ("events", .events),
    ("stale events", .eventsStale), ("lost events", .eventsLost),
    ("events while inside", .eventsWhileInside),
  ]

  static func counts(of pollers: [Poller], and totals: Totals) -> [StressReport.Count] {
    let all = pollers.map { $0.snapshot().total } + (totals.value.map { [$0] } ?? [])
    // Nothing is a count of zero only if somebody could have counted.
    guard !all.isEmpty else { return [] }
    return shown.map { name, counter in
      .init(name: name, value: all.reduce(0) { $0 + Int($1[counter]) })
    }
  }
}

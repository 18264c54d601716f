public import CoreMetrics
public import FDPoller
public import ServiceLifecycle

/// Exports the counters of a poller through swift-metrics: from a snapshot now and then, never from
/// a tick.
///
/// Counters are called `fd_poller_` and the name of the `PollerCounter` in snake case, with the
/// dimension `loop`; `fd_poller_live_descriptors`, `..._longest_tick_nanoseconds` and
/// `..._ring_buffers_low_water` are gauges. One task at a time uses it.
public final class PollerMetrics: Service, @unchecked Sendable {
  private let poller: Poller
  private let interval: Duration
  private let liveDescriptors: Gauge
  /// By loop, those outside last, and by counter.
  private let meters: [[Meter]]
  private var last: PollerSnapshot?

  private enum Meter {
    case counter(Counter)
    case gauge(Gauge)
  }

  /// - Parameters:
  ///   - poller: whose counters to export.
  ///   - interval: between two exports.
  ///   - factory: where the metrics go.
  public init(
    of poller: Poller, every interval: Duration = .seconds(10),
    factory: any MetricsFactory = MetricsSystem.factory
  ) {
    self.poller = poller
    self.interval = interval
    liveDescriptors = Gauge(label: "fd_poller_live_descriptors", dimensions: [], factory: factory)
    meters = (poller.loops.map(\.name) + ["outside"]).map { loop in
      PollerCounter.allCases.map { counter in
        let label = "fd_poller_" + Self.snakeCase("\(counter)")
        let dimensions = [("loop", loop)]
        return Self.isGauge(counter)
          ? .gauge(Gauge(label: label, dimensions: dimensions, factory: factory))
          : .counter(Counter(label: label, dimensions: dimensions, factory: factory))
      }
    }
  }

  private static func isGauge(_ counter: PollerCounter) -> Bool {
    counter == .longestTickNanoseconds || counter == .ringBuffersLowWater
  }

  static func snakeCase(_ name: String) -> String {
    name.reduce(into: "") { $0 += $1.isUppercase ? "_\($1.lowercased())" : "\($1)" }
  }

  /// Exports what has been counted since the last export.
  public func export() {
    let snapshot = poller.snapshot()
    liveDescriptors.record(snapshot.liveDescriptors)
    let before = last.map { $0.loops + [$0.outside] }
    for (index, loop) in (snapshot.loops + [snapshot.outside]).enumerated() {
      for counter in PollerCounter.allCases {
        switch meters[index][counter.rawValue] {
        case .gauge(let gauge): gauge.record(loop[counter])
        case .counter(let metric):
          let delta = loop[counter] - (before?[index][counter] ?? 0)
          if delta > 0 { metric.increment(by: Int64(clamping: delta)) }
        }
      }
    }
    last = snapshot
  }

  /// Exports again and again, and once more at a graceful shutdown or a cancellation.
  public func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      while !Task.isCancelled {
        export()
        try? await Task.sleep(for: interval)
      }
    }
    export()
  }
}

import FDCoordination
import FDDelays

/// Callers that ask for a few keys, whose values come, fail, hang, or come too late. Callable from
/// any thread.
final class FlightLoad: Sendable {
  private struct Failure: Error {}

  private let stage: Stage
  private let flight: SingleFlight<Int, Int>
  private let values: Tally
  private let failures: Tally

  init(_ stage: Stage) {
    self.stage = stage
    values = stage.count("values fetched or joined")
    failures = stage.count("values waited for in vain")
    let executions = stage.count("executions")
    let running = KeyCounts()
    var settings = SingleFlightSettings.caching
    settings.capacity = 4
    settings.unknownLifetime = .milliseconds(2)
    settings.executionLimit = .milliseconds(50)
    settings.backOff = BackOff()
    let most = 1 + settings.abandonedLimit
    flight = SingleFlight(settings) { key in
      let turn = executions.add()
      if running.add(key) > most {
        stage.violate("one execution per key, and a few abandoned ones", "key \(key) has more")
      }
      defer { running.add(key, -1) }
      switch (key + turn) % 8 {
      case 0: throw Failure()
      case 1: try await Task.sleep(for: .seconds(60))
      case 2:
        // It ignores that it is cancelled.
        for _ in 0..<20 { await Task.yield() }
      default: try await Task.sleep(for: .microseconds(100))
      }
      return key
    }
  }

  func ask(_ random: inout SplitMix) async {
    let key = Int(random.next() % 8)
    let deadline = Duration.microseconds(random.next() % 2_000)
    let task = Task { [flight] in try await flight.value(for: key, deadline: deadline) }
    if random.next() % 4 == 0 {
      await Task.yield()
      task.cancel()
    }
    if random.next() % 64 == 0 { flight.forget(key) }
    switch await task.result {
    case .success(let value):
      values.add()
      if value != key { stage.violate("a value is its key's", "\(value) for \(key)") }
    case .failure: failures.add()
    }
  }

  func audit() {
    // Refreshes and what has been abandoned may take a moment; what hangs has been cancelled.
    let isOver = stage.comes { flight.count.executions + flight.count.abandoned == 0 }
    if !isOver || flight.count.waiters > 0 {
      stage.violate("no execution and no caller is left", "\(flight.count)")
    }
  }
}

import Benchmark
import Workloads

/// The times of single operations of the runtime: of the workloads that `fdstress workload` repeats
/// and whose instructions have a budget.
let benchmarks: @Sendable () -> Void = {
  // Processor time comes in steps of 10 ms, which is more than a sample takes.
  let configuration = Benchmark.Configuration(
    metrics: [.wallClock], timeUnits: .nanoseconds, warmupIterations: 5,
    scalingFactor: .kilo, maxDuration: .seconds(2), maxIterations: 2_000)
  for workload in WorkloadCatalogue.workloads {
    let stage = Stage(workload)
    Benchmark(
      workload.name, configuration: configuration,
      closure: { benchmark in
        let repetitions = try stage.repetitions()
        let count = benchmark.scaledIterations.count
        repetitions.prepare(count)
        benchmark.startMeasurement()
        _ = repetitions.run(count)
        benchmark.stopMeasurement()
      }, teardown: { stage.end() })
  }
}

/// A workload, prepared when it is first measured. Used by one thread at a time.
final class Stage: @unchecked Sendable {
  private let workload: Workload
  private var prepared: (any Repetitions)?

  init(_ workload: Workload) { self.workload = workload }

  func repetitions() throws -> any Repetitions {
    if let prepared { return prepared }
    let fresh = try workload.prepared()
    prepared = fresh
    return fresh
  }

  func end() {
    prepared?.end()
    prepared = nil
  }
}

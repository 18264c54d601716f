import TestKit
import Testing
import Workloads

@Suite(.serialized, .ledger) struct WorkloadTests {
  @Test(arguments: WorkloadCatalogue.workloads.map(\.name))
  func `a workload repeats its operation and puts everything away`(name: String) async throws {
    if name == "echo-ring" && !TestedBackend.isRingThere { return }
    let workload = try #require(WorkloadCatalogue.workloads.first { $0.name == name })
    let times = Guarded<[Double]>([])
    // A workload blocks its thread.
    await Crew.run(1) { _ in
      let measured = (try? workload.measure(50, rounds: 2)) ?? []
      times.withLock { $0 = measured }
    }
    #expect(times.value.count == 2 && times.value.allSatisfy { $0 > 0 })
  }
}

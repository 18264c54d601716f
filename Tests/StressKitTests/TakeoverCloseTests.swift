import FDPoller
import StressKit
import TestKit
import Testing

/// A storm of two seconds, in this process: what the sanitizers see, and the objects of which the
/// test counts.
@Suite("The stress scenario takeover-close", .serialized, .everyBackend, .ledger)
struct TakeoverCloseTests {
  @Test(
    "balances every ledger, with one group and with several",
    arguments: [(3, 1), (20, 3)])
  func run(threads: Int, groups: Int) async throws {
    var parameters = StressParameters(
      duration: .seconds(2), threads: threads, groups: groups, seed: .random(in: 0 ... .max))
    parameters.io = try #require(IOBackend(rawValue: TestedBackend.name))
    // Other tests of this process have descriptors of their own.
    parameters.countsDescriptors = false
    let scenario = try TakeoverClose(parameters)
    let outcome = Guarded<StressReport?>(nil)
    await Crew.run(1) { _ in outcome.value = scenario.run() }
    let report = try #require(outcome.value)
    #expect(report.verdict == .clean, "seed \(parameters.seed)")
    #expect(report.complaints.isEmpty)
    #expect(!report.summary.isEmpty)
  }

  @Test("refuses what the poller refuses", arguments: [(0, nil), (2, 3), (17, 1), (1, 64)])
  func refusals(threads: Int, groups: Int?) {
    #expect(throws: (any Error).self) {
      try TakeoverClose(
        StressParameters(duration: .seconds(1), threads: threads, groups: groups, seed: 1))
    }
  }
}

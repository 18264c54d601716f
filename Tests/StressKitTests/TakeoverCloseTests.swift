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
    let report = try await Storm.run(TakeoverClose.self, parameters)
    #expect(report.verdict == .clean, "seed \(parameters.seed)")
    #expect(report.complaints.isEmpty)
    #expect(report.counts.contains { $0.name == "takeovers" && $0.value > 0 })
  }

  @Test("refuses what the poller refuses", arguments: [(0, nil), (2, 3), (17, 1), (1, 64)])
  func refusals(threads: Int, groups: Int?) {
    #expect(throws: PollerError.self) {
      try StressRun.run(
        TakeoverClose.self,
        StressParameters(duration: .seconds(1), threads: threads, groups: groups, seed: 1))
    }
  }
}

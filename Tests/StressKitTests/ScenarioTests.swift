import FDPoller
import StressKit
import TestKit
import Testing

/// Every scenario in this process: what the sanitizers see.
@Suite("Every stress scenario", .serialized, .everyBackend, .ledger)
struct ScenarioTests {
  /// The one that takes every descriptor needs a process of its own.
  static let names = StressCatalogue.scenarios.map { $0.name }
    .filter { $0 != FDExhaustion.name }

  @Test("balances every ledger", arguments: names)
  func run(name: String) async throws {
    let scenario = try #require(StressCatalogue.scenarios.first { $0.name == name })
    var parameters = StressParameters(
      duration: .seconds(1), threads: 5, groups: 2, seed: .random(in: 0 ... .max))
    parameters.io = try #require(IOBackend(rawValue: TestedBackend.name))
    parameters.connections = 600
    let report = try await Storm.run(scenario, parameters)
    #expect(report.verdict == .clean, "seed \(parameters.seed): \(report.complaints)")
    #expect(report.counts.contains { $0.name == "operations" && $0.value > 0 })
  }
}

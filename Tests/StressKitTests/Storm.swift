import StressKit
import TestKit
import Testing

enum Storm {
  /// Runs a scenario on a thread of its own: it waits a lot.
  static func run(
    _ scenario: any StressScenario.Type, _ parameters: StressParameters
  ) async throws -> StressReport {
    var parameters = parameters
    // Other tests of this process have descriptors of their own.
    parameters.countsDescriptors = false
    let (chosen, outcome) = (parameters, Guarded<Result<StressReport, any Error>?>(nil))
    await Crew.run(1) { _ in
      outcome.value = Result { try StressRun.run(scenario, chosen) }
    }
    return try #require(outcome.value).get()
  }
}

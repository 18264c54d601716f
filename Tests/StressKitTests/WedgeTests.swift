import FDPoller
import StressKit
import TestKit
import Testing

/// Whether somebody who hangs is felt by others, without a look at how fast they are.
@Suite("A wedge", .serialized, .everyBackend, .ledger)
struct WedgeTests {
  private func brief() throws -> WedgeParameters {
    var parameters = WedgeParameters(
      program: [try Child.releaseBinary("fdstress"), "wedge-child"])
    parameters.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    parameters.sessions = 16
    parameters.pairs = 1
    parameters.phase = .milliseconds(200)
    parameters.bound = TestRun.isSanitized ? .seconds(8) : .seconds(3)
    // The machine may be busy.
    parameters.slack = .seconds(30)
    parameters.patience = .seconds(30)
    return parameters
  }

  @Test("is ended by its bound, with an error, and all sessions go on, in each of the incidents")
  func clean() async throws {
    let parameters = try brief()
    // They wait more than they work.
    let reports = try await withThrowingTaskGroup { runs in
      for wedge in WedgeCatalogue.wedges {
        runs.addTask { try await WedgeRun.run(wedge, parameters) }
      }
      return try await runs.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(reports.map(\.wedge)) == Set(WedgeCatalogue.wedges.map { $0.name }))
    for report in reports {
      #expect(report.complaints == [], "\(report.wedge)")
      #expect(report.phases.map(\.isWedged) == [false, true])
      #expect(report.phases.allSatisfy { $0.exchanges >= parameters.sessions })
      #expect(report.wedged.isEmpty == false)
      #expect(report.wedged.allSatisfy { $0.ending != nil }, "\(report.wedged)")
    }
  }

  @Test("of one lock around everything stops every session, and is found", .epollOnly)
  func found() async throws {
    var parameters = try brief()
    parameters.shape = .incident
    parameters.bound = .milliseconds(300)
    parameters.slack = .milliseconds(100)
    parameters.patience = .milliseconds(1_500)
    let wedge = try #require(WedgeCatalogue.wedges.first { $0.name == "authorisation" })
    let report = try await WedgeRun.run(wedge, parameters)
    #expect(report.complaints.contains { $0.contains("16 of 16 sessions had no answer") })
    #expect(report.complaints.contains { $0.contains("was not ended within") })
  }
}

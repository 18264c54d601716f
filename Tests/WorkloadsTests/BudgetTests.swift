import TestKit
import Testing

/// What single operations cost, counted on the release build.
@Suite struct BudgetTests {
  @Test func `every operation takes the instructions of its budget`() async throws {
    let fdstress = try Child.releaseBinary("fdstress")
    let child = try await Ledger.closed {
      try await Child.run([fdstress, "budget", "--folder", Self.folder])
    }
    if child.status == 0 && child.output.hasPrefix("not compared: ") {
      Issue.record("\(child.output)", severity: .warning)
    }
    #expect(child.status == 0, "\(child.output)\(child.errors)")
  }

  /// `Stress/Budget` of this repository.
  private static var folder: String {
    #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Stress/Budget"
  }
}

import TestKit
import Testing

@testable import FDNet

/// A test that leaves no `Connection` behind. Give it to a suite together with `.ledger`, after it.
struct ConnectionLedger: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
    testCase == nil ? nil : self
  }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    let before = Connection.liveCount
    try await function()
    let areGone = await eventually(within: .seconds(10)) { Connection.liveCount == before }
    if !areGone { Issue.record("connections left behind: \(Connection.liveCount - before)") }
  }
}

extension Trait where Self == ConnectionLedger {
  /// Checks that the test leaves no connection behind.
  static var connectionLedger: Self { ConnectionLedger() }
}

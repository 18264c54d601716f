import Glibc
import Synchronization
public import Testing

/// A test that leaves nothing behind: when it has ended, the descriptors of the process and the
/// live objects are those from before it. Give it to the suite.
///
/// Descriptors are counted for the whole process, so only one such test runs at a time, whatever
/// suite it is of, and a test that runs beside them opens and closes descriptors in
/// `Ledger.closed`. One that does not end within five minutes ends the process, by its name.
public struct LedgerTrait: SuiteTrait, TestTrait, TestScoping {
  /// It guards every test of the suite.
  public var isRecursive: Bool { true }

  /// Each test case is guarded by itself.
  public func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
    testCase == nil ? nil : self
  }

  /// Runs a test case, and then looks at what it has left behind.
  public func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await Ledger.closed {
      // The first sleep of a process opens the descriptors of the concurrency runtime.
      try await Task.sleep(for: .microseconds(1))
      Ledger.startSymbolizer
      let descriptors = Ledger.openDescriptors()
      let objects = LiveObject.count
      try await TimeLimit.hold(test.displayName ?? test.name) { try await function() }
      let areObjectsGone = await eventually(within: .seconds(10)) { LiveObject.count <= objects }
      if !areObjectsGone {
        Issue.record("objects left behind: \(LiveObject.count - objects)")
      }
      // Other tests, which start processes, have descriptors open for a moment.
      let isBalanced = await eventually(within: .seconds(10)) {
        Ledger.excess(over: descriptors).isEmpty
      }
      if !isBalanced {
        Issue.record("descriptors left behind: \(Ledger.excess(over: descriptors))")
      }
    }
  }
}

extension Trait where Self == LedgerTrait {
  /// Checks that the test leaves no descriptor and no object behind.
  public static var ledger: Self { LedgerTrait() }
}

extension Ledger {
  private static let isTaken = Atomic(false)

  /// Has a sanitizer start its symbolizer, which it keeps: else it does when it first needs a name,
  /// be it for a report that is suppressed.
  fileprivate static let startSymbolizer: Void = {
    typealias Symbolize =
      @convention(c) (UnsafeRawPointer?, UnsafePointer<CChar>, UnsafeMutablePointer<CChar>, Int) ->
      Void
    guard let symbol = dlsym(nil, "__sanitizer_symbolize_pc") else { return }
    let symbolize = unsafeBitCast(symbol, to: Symbolize.self)
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) {
      symbolize(symbol, "%f", $0.baseAddress.unsafelyUnwrapped, $0.count)
    }
  }()

  /// Runs the body while no test that counts descriptors runs.
  public static func closed<Result>(
    _ body: () async throws -> Result
  ) async throws -> Result {
    while !isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged {
      try await Task.sleep(for: .milliseconds(5))
    }
    defer { isTaken.store(false, ordering: .releasing) }
    return try await body()
  }
}

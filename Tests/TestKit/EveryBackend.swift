public import Testing

/// What the pollers of a test wait with, by the name that command lines take. The test's own task
/// and its children know it.
public enum TestedBackend {
  /// The name; what runs in another process has the first one.
  @TaskLocal public static var name = names[0]
  /// All of them.
  public static let names = ["epoll", "io_uring"]
}

/// Runs each test case once with every backend. Give it to the suite, before a trait that looks at
/// what each run has left behind.
public struct EveryBackendTrait: SuiteTrait, TestTrait, TestScoping {
  /// It holds for every test of the suite.
  public var isRecursive: Bool { true }

  /// Each test case by itself.
  public func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
    testCase == nil ? nil : self
  }

  /// Runs a test case once with each.
  public func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    for name in TestedBackend.names {
      try await TestedBackend.$name.withValue(name) { try await function() }
    }
  }
}

/// Runs a test with one backend only, in a suite that runs its tests with every one.
public struct OneBackendTrait: SuiteTrait, TestTrait, TestScoping {
  let name: String

  /// It holds for every test of the suite.
  public var isRecursive: Bool { true }

  /// Each test case by itself.
  public func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
    testCase == nil ? nil : self
  }

  /// Runs the test case if its turn is that backend's.
  public func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    if TestedBackend.name == name { try await function() }
  }
}

extension Trait where Self == EveryBackendTrait {
  /// Runs each test with epoll, and once more with io_uring.
  public static var everyBackend: Self { EveryBackendTrait() }
}

extension Trait where Self == OneBackendTrait {
  /// Concerns epoll alone.
  public static var epollOnly: Self { OneBackendTrait(name: "epoll") }
  /// Concerns io_uring alone.
  public static var ioUringOnly: Self { OneBackendTrait(name: "io_uring") }
}

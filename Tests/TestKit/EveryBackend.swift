import CShims
import Glibc
public import Testing

/// What the pollers of a test wait with, by the name that command lines take. The test's own task
/// and its children know it.
public enum TestedBackend {
  /// The name; what runs in another process has that of epoll.
  @TaskLocal public static var name = "epoll"

  /// All that this machine has. Where io_uring is unknown or forbidden its tests are not run, and
  /// one line says so.
  public static let names: [String] = {
    guard let reason = whyThereIsNoRing() else { return ["epoll", "io_uring"] }
    let line = Array("io_uring is not available (\(reason)): its tests are not run\n".utf8)
    _ = fdp_write(STDERR_FILENO, line, line.count)
    return ["epoll"]
  }()

  /// Whether the tests of io_uring are run.
  public static var isRingThere: Bool { names.contains("io_uring") }

  /// Asks the kernel itself: a poller that refuses io_uring without a reason has to fail its tests.
  ///
  /// On a thread of its own: the end of a ring interrupts the system calls of the thread that made
  /// it (EINTR), which would be a test's.
  private static func whyThereIsNoRing() -> String? {
    var answer = Answer()
    var thread = pthread_t()
    let body: fdp_thread_body = {
      $0?.assumingMemoryBound(to: Answer.self).pointee = Answer.ofKernel()
    }
    guard fdp_thread_start(&thread, "ring-probe", body, &answer) == 0 else { return "no thread" }
    fdp_thread_join(thread)
    guard answer.result == 0 else { return String(cString: strerror(-answer.result)) }
    return answer.isNewEnough ? nil : "the kernel is older than Linux 5.17"
  }

  private struct Answer {
    var result: CInt = 0
    var isNewEnough = false

    static func ofKernel() -> Answer {
      var ring: OpaquePointer?
      let result = fdp_ring_create(8, 8, 0, &ring)
      guard result == 0 else { return Answer(result: result) }
      defer { fdp_ring_destroy(ring) }
      // The newest that the poller cannot do without; older kernels have rings too.
      let isNewEnough = fdp_ring_features(ring) & UInt32(IORING_FEAT_CQE_SKIP) != 0
      return Answer(result: 0, isNewEnough: isNewEnough)
    }
  }
}

/// Runs each test case once with every backend that there is. Give it to the suite, before a trait
/// that looks at what each run has left behind.
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
  /// Runs each test with epoll, and once more with io_uring where that is available.
  public static var everyBackend: Self { EveryBackendTrait() }
}

extension Trait where Self == OneBackendTrait {
  /// Concerns epoll alone.
  public static var epollOnly: Self { OneBackendTrait(name: "epoll") }
  /// Concerns io_uring alone.
  public static var ioUringOnly: Self { OneBackendTrait(name: "io_uring") }
}

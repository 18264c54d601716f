import FDCoordination
import FDNet
import Logging
import TestKit
import Testing

@testable import FDPoller

/// Runs the body with a poller that is started before and stopped after it, with the backend of
/// the test, and checks that nothing is left in it.
func withTestedPoller(threads: Int = 2, _ body: (Poller) async throws -> Void) async throws {
  weak var remains: Poller?
  do {
    var configuration = PollerConfiguration(threads: threads)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    configuration.name = "mux-test"
    configuration.tickLimit = .seconds(10)
    configuration.logger = Logger(label: "mux-test") { _ in SwiftLogNoOpLogHandler() }
    let poller = try Poller(configuration)
    remains = poller
    try poller.start()
    do {
      try await body(poller)
    } catch {
      try? poller.stop()
      throw error
    }
    try poller.stop()
    #expect(poller.snapshot().liveDescriptors == 0)
  }
  #expect(await eventually { remains == nil }, "something keeps the poller")
}

/// Runs the body, and fails if it takes so long that it must be stuck. What it started is cancelled
/// then.
func bounded<Result: Sendable>(
  _ limit: Duration = .seconds(60), _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
  try await withThrowingTaskGroup(of: Result?.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: limit)
      return nil
    }
    defer { group.cancelAll() }
    let first = try await group.next()
    return try #require(first ?? nil, "it takes too long")
  }
}

import FDPoller
import Logging
import TestKit
import Testing

@testable import FDNet

/// Runs the body with a poller that is started before and stopped after it, and checks that the
/// poller is gone then.
func withPoller(
  threads: Int, groups: Int? = nil, _ body: (Poller) async throws -> Void
) async throws {
  weak var remains: Poller?
  do {
    var configuration = PollerConfiguration(threads: threads, groups: groups)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    configuration.name = "net-test"
    configuration.tickLimit = .seconds(10)
    configuration.logger = Logger(label: "net-test") { _ in SwiftLogNoOpLogHandler() }
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
    #expect(poller.snapshot().total[.ringRequestsAbandoned] == 0)
    #expect(poller.snapshot().total[.ringBuffersMissing] == 0)
  }
  #expect(await eventually { remains == nil }, "something keeps the poller")
}

extension EventLoop {
  /// Runs the body on the loop, and returns what it returned.
  @discardableResult
  func call<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    let box = Guarded<Swift.Result<Result, any Error>?>(nil)
    try #require(
      run {
        let result = Swift.Result { try body() }
        box.value = result
      }, "the loop has stopped")
    try #require(await eventually { box.value != nil }, "the loop does not come to it")
    return try #require(box.value).get()
  }
}

/// A loop that stands still until it is let go.
struct Held {
  private let gate = Gate()

  /// Waits until the loop does nothing any more.
  init(_ loop: EventLoop) async throws {
    let gate = gate
    let isRunning = loop.run { gate.wait() }
    let stands = await eventually { gate.holdsSomebody }
    try #require(isRunning && stands)
  }

  func letGo() { gate.open() }
}

import Logging
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// Runs the body with a poller that is started before and stopped after it, and checks that the
/// poller is gone then, and that its rings had nothing in flight and all their buffers.
///
/// - Parameter rings: how they are made, where there are any.
func withTestedPoller(
  threads: Int, groups: Int? = nil, rings: RingSetup = RingSetup(),
  _ body: (Poller) async throws -> Void
) async throws {
  weak var remains: Poller?
  do {
    var configuration = PollerConfiguration(threads: threads, groups: groups)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    configuration.name = "net-test"
    configuration.tickLimit = .seconds(10)
    configuration.logger = Logger(label: "net-test") { _ in SwiftLogNoOpLogHandler() }
    configuration.ringSetup = rings
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

extension RingSetup {
  /// Rings with room for next to nothing: what is asked of the kernel and what it answers has to
  /// wait, requests that repeat end early, and there are never enough buffers.
  static func tiny(submissions: UInt32 = 1, buffers: Int = 2) -> RingSetup {
    RingSetup(
      submissions: submissions, completions: 2, completionsPerWait: 3,
      buffers: (count: buffers, size: 64))
  }
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

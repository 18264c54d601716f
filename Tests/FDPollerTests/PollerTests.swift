import Logging
import TestKit
import Testing

@testable import FDPoller

/// The tests of the poller with real threads and descriptors: one at a time, because each of them
/// counts what the process has open before and after it.
@Suite("A poller", .serialized, .everyBackend, .ledger)
enum PollerTests {}

/// Runs the body with a started poller, then stops it and checks that its counters add up.
func withTestedPoller(
  threads: Int = 1, groups: Int? = nil, log: RecordedLog = RecordedLog(),
  sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Poller) async throws -> Void
) async throws {
  var configuration = PollerConfiguration.tested(threads: threads, groups: groups)
  configuration.logger = log.logger
  // The machine may be busy; the report of long ticks has a test of its own.
  configuration.tickLimit = .seconds(60)
  try await withTestedPoller(configuration, sourceLocation: sourceLocation, body)
}

func withTestedPoller(
  _ configuration: PollerConfiguration, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Poller) async throws -> Void
) async throws {
  let poller = try Poller(configuration)
  #expect(
    poller.loops.allSatisfy { ($0.backend.uring != nil) == (configuration.io == .uring) },
    "every loop waits with what was asked for", sourceLocation: sourceLocation)
  try poller.start()
  do {
    try await body(poller)
  } catch {
    try poller.stop()
    throw error
  }
  try poller.stop()
  let snapshot = poller.snapshot()
  #expect(snapshot.liveDescriptors == 0, sourceLocation: sourceLocation)
  #expect(
    snapshot.departures == snapshot.total[.descriptorsInserted], "\(snapshot)",
    sourceLocation: sourceLocation)
  #expect(snapshot.total[.ringRequestsAbandoned] == 0, sourceLocation: sourceLocation)
  #expect(snapshot.total[.ringBuffersMissing] == 0, sourceLocation: sourceLocation)
}

extension PollerConfiguration {
  /// With the backend whose turn it is.
  static func tested(threads: Int = 1, groups: Int? = nil) -> PollerConfiguration {
    var configuration = PollerConfiguration(threads: threads, groups: groups)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    return configuration
  }
}

extension PollerSnapshot {
  /// How many descriptors have left the poller, in whatever way.
  var departures: UInt64 {
    total[.closesByDeleter] + total[.closesByLastLeaver] + total[.disowned] + total[.rawCloses]
  }
}

extension EventLoop {
  /// Waits until the loop has read the mail that it has by now, dealt with what that caused, and
  /// told the kernel of it.
  func settle() async {
    for _ in 0..<3 { await call {} }
  }

  /// Runs the body on the loop and waits for its result.
  func call<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    // No continuation: one that is resumed before its task has suspended orders nothing in the eyes
    // of ThreadSanitizer.
    let result = Guarded<Result?>(nil)
    let isTaken = run {
      let value = body()
      result.withLock { $0 = value }
    }
    precondition(isTaken, "the loop has ended")
    let hasRun = await eventually(within: .seconds(60)) { result.withLock { $0 != nil } }
    precondition(hasRun, "the loop hangs")
    return result.value.unsafelyUnwrapped
  }

  /// Makes the loop stand still, in a closure, until the gate opens.
  func hold() async -> Gate {
    let gate = Gate()
    run { gate.wait() }
    _ = await eventually { gate.holdsSomebody }
    return gate
  }
}

/// What a poller logs.
final class RecordedLog: Sendable {
  private let messages = Guarded<[String]>([])

  var logger: Logger {
    Logger(label: "test") { _ in Handler(messages: self.messages) }
  }

  func count(of text: String) -> Int { messages.value.count { $0.contains(text) } }

  var all: [String] { messages.value }

  private struct Handler: LogHandler {
    let messages: Guarded<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let details = (event.metadata ?? [:]).map { "\($0): \($1)" }.sorted()
      messages.withLock {
        $0.append("\(event.level) \(event.message) [\(details.joined(separator: ", "))]")
      }
    }
  }
}

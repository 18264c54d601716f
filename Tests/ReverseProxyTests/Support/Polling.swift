import Logging
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// Runs the body with a poller that is started before and stopped after it, and checks that the
/// poller is gone then.
func withTestedPoller(threads: Int, _ body: (Poller) async throws -> Void) async throws {
  weak var remains: Poller?
  do {
    var configuration = PollerConfiguration(threads: threads)
    configuration.io = IOBackend(rawValue: TestedBackend.name).unsafelyUnwrapped
    configuration.tickLimit = .seconds(10)
    configuration.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
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

/// Sends back what it gets.
final class Echo: ConnectionHandler {
  private let open: Tally

  /// - Parameter open: how many there are.
  init(_ open: Tally) {
    self.open = open
    open.add()
  }

  func received(_ bytes: RawSpan, on connection: Connection) { connection.write(bytes) }

  func closed(_ connection: Connection, _ reason: CloseReason) { open.add(-1) }
}

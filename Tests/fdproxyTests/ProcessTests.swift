import FDPoller
import Glibc
import TestKit
import Testing

/// The tests of fdproxy as a process of its own, one at a time: they count descriptors, they load
/// the machine, and those that open thousands of descriptors need them all.
@Suite("fdproxy", .serialized, .ledger, .timeLimit(.minutes(3)))
enum ProcessTests {
  /// The suites that open thousands of descriptors start with this.
  static func raiseDescriptorLimit() { _ = Poller.raiseDescriptorLimit(to: 1 << 20) }
}

/// Runs the body with an origin, and stops it.
func withOrigin<Result>(
  _ manner: Origin.Manner, _ body: (Origin) async throws -> Result
) async throws -> Result {
  let origin = try Origin(manner)
  defer { origin.stop() }
  return try await body(origin)
}

/// Runs the body with an fdproxy in front of the backends, and ends it.
func withProxy<Result>(
  to backends: [String], _ arguments: [String] = [], descriptorLimit: Int? = nil,
  _ body: (Proxy) async throws -> Result
) async throws -> Result {
  let proxy = try await Proxy(to: backends, arguments, descriptorLimit: descriptorLimit)
  defer { proxy.end() }
  return try await body(proxy)
}

/// The address of a port at which nobody listens, as long as the socket lives.
func refusingAddress() -> (socket: TestSocket, address: String) {
  let socket = TestSocket.bound(backlog: nil)
  return (socket, "127.0.0.1:\(socket.port)")
}

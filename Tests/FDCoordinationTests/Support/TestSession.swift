import FDCoordination
import TestKit

/// A session of a registry, and what has been done to it.
final class TestSession: RegisteredSession, Equatable, Sendable {
  let name: String
  let told = Tally()
  private let closed = Guarded(false)

  init(_ name: String = "") { self.name = name }

  var isClosed: Bool { closed.value }
  func close() { closed.value = true }
  func registryDidShutDown() { told.add() }

  static func == (one: TestSession, other: TestSession) -> Bool { one === other }
}

struct Broken: Error, Equatable {
  var text = "broken"
}

import Synchronization

/// A number with one writer, which spares it the locked instruction.
package final class LoopCount: Sendable {
  private let value = Atomic(0)

  package init() {}

  /// On the writer's thread.
  @inline(__always)
  package func add(_ number: Int) {
    value.store(value.load(ordering: .relaxed) &+ number, ordering: .relaxed)
  }

  /// Callable from any thread.
  package var current: Int { value.load(ordering: .relaxed) }
}

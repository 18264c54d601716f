import Synchronization

/// A count that threads share. It orders nothing, so it hides no missing order either.
final class Tally: Sendable {
  private let value = Atomic<Int>(0)

  /// - Returns: the count before.
  @discardableResult
  func add(_ amount: Int = 1) -> Int {
    value.wrappingAdd(amount, ordering: .relaxed).oldValue
  }

  var count: Int { value.load(ordering: .relaxed) }
}

import Synchronization

/// A number that any thread may change and look at.
public final class Tally: Sendable {
  private let atomic: Atomic<Int>

  /// - Parameter value: where it begins.
  public init(_ value: Int = 0) { atomic = Atomic(value) }

  /// Adds, and returns the number afterwards.
  @discardableResult
  public func add(_ amount: Int = 1) -> Int {
    atomic.wrappingAdd(amount, ordering: .acquiringAndReleasing).newValue
  }

  /// What it is now.
  public var value: Int {
    get { atomic.load(ordering: .acquiring) }
    set { atomic.store(newValue, ordering: .releasing) }
  }
}

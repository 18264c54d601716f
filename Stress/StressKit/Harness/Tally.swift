import Synchronization

/// A count that threads share. It orders nothing, so it hides no missing order either.
///
/// Callable from any thread.
public final class Tally: Sendable {
  private let value = Atomic<Int>(0)

  init() {}

  /// - Parameter amount: may be below 0.
  /// - Returns: the count before.
  @discardableResult
  public func add(_ amount: Int = 1) -> Int {
    value.wrappingAdd(amount, ordering: .relaxed).oldValue
  }

  /// The count so far.
  public var count: Int { value.load(ordering: .relaxed) }
}

/// What comes in has to go out: at the end of a run the two are the same.
///
/// Callable from any thread.
public final class Ledger: Sendable {
  let name: String
  let incoming = Tally()
  let outgoing = Tally()

  init(_ name: String) { self.name = name }

  /// One more has come in.
  public func open() { incoming.add() }

  /// One of those has gone out.
  public func close() { outgoing.add() }

  /// How many are in. Exact when nobody opens or closes.
  public var live: Int {
    let gone = outgoing.count
    return incoming.count - gone
  }
}

public import FDAtomics

/// An atomic word whose every operation is a point where another thread may run.
///
/// It stands in for `HardwareWord`, so that production source that is generic over `AtomicWord`
/// runs under the explorer unchanged. Made and used inside a scenario only.
public struct ModelWord: ~Copyable, AtomicWord, @unchecked Sendable {
  private unowned(unsafe) let execution: Execution
  private let location: UInt8

  /// A word that holds the value, which every thread sees.
  public init(_ value: UInt64) { self.init(value, named: "") }

  /// - Parameters:
  ///   - value: what it holds, as every thread sees it.
  ///   - name: how traces call it.
  ///   - describe: how traces write its values.
  public init(
    _ value: UInt64 = 0, named name: String, describe: ((UInt64) -> String)? = nil
  ) {
    execution = Execution.ofThisThread
    location = execution.makeLocation(value, name)
    if describe != nil { execution.memory.setName(location, name, describe) }
  }

  /// See `Ordering`.
  public borrowing func load(_ ordering: Ordering) -> UInt64 { execution.load(location, ordering) }

  /// See `Ordering`.
  public borrowing func store(_ value: UInt64, _ ordering: Ordering) {
    execution.store(location, value, ordering)
  }

  /// Stores the value and returns the former one.
  public borrowing func exchange(_ value: UInt64, _ ordering: Ordering) -> UInt64 {
    execution.modify(location, ordering) { _ in value }
  }

  /// Stores `desired` if the word is `expected`; a failure is a relaxed load.
  public borrowing func compareExchange(
    expected: UInt64, desired: UInt64, _ ordering: Ordering
  ) -> (exchanged: Bool, original: UInt64) {
    execution.compareExchange(location, expected, desired, ordering)
  }

  /// As `compareExchange(expected:desired:_:)`, but it may fail although the word is `expected`, if
  /// `Explorer.Options.weakFailures` allows that.
  public borrowing func weakCompareExchange(
    expected: UInt64, desired: UInt64, _ ordering: Ordering
  ) -> (exchanged: Bool, original: UInt64) {
    execution.compareExchange(location, expected, desired, ordering, isWeak: true)
  }

  /// Adds with wraparound and returns the former value.
  public borrowing func fetchAdd(_ amount: UInt64, _ ordering: Ordering) -> UInt64 {
    execution.modify(location, ordering) { $0 &+ amount }
  }

  /// Sets bits and returns the former value.
  public borrowing func fetchOr(_ bits: UInt64, _ ordering: Ordering) -> UInt64 {
    execution.modify(location, ordering) { $0 | bits }
  }

  /// Keeps only these bits and returns the former value.
  public borrowing func fetchAnd(_ bits: UInt64, _ ordering: Ordering) -> UInt64 {
    execution.modify(location, ordering) { $0 & bits }
  }
}

extension ModelWord {
  /// See `AtomicWord`.
  public borrowing func loadRelaxed() -> UInt64 { load(.relaxed) }
  /// See `AtomicWord`.
  public borrowing func loadAcquiring() -> UInt64 { load(.acquiring) }
  /// See `AtomicWord`.
  public borrowing func storeRelaxed(_ value: UInt64) { store(value, .relaxed) }
  /// See `AtomicWord`.
  public borrowing func storeReleasing(_ value: UInt64) { store(value, .releasing) }
  /// See `AtomicWord`.
  public borrowing func exchangeAcquiring(_ value: UInt64) -> UInt64 { exchange(value, .acquiring) }

  /// See `AtomicWord`.
  public borrowing func weakCompareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    weakCompareExchange(expected: expected, desired: desired, .acquiring)
  }

  /// See `AtomicWord`.
  public borrowing func weakCompareExchangeReleasing(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    weakCompareExchange(expected: expected, desired: desired, .releasing)
  }

  /// See `AtomicWord`.
  public borrowing func compareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    compareExchange(expected: expected, desired: desired, .acquiring)
  }

  /// See `AtomicWord`.
  public borrowing func subtractReleasing(_ amount: UInt64) -> UInt64 {
    execution.modify(location, .releasing) { $0 &- amount } &- amount
  }

  /// Does nothing: every order is explored as it is.
  public static func delay(at point: DelayPoint, _ value: UInt64) {}
}

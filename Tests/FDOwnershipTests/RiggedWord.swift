import FDAtomics

/// A word for one thread, whose compare-and-swaps fail or are overtaken as a test wants it.
///
/// Hardware does both: a weak compare-and-swap may fail for no reason (it does on arm64), and another
/// thread may change the word between a look and the swap that follows.
struct RiggedWord: ~Copyable, AtomicWord {
  final class Rig: @unchecked Sendable {
    var value: UInt64
    /// How many of the coming weak compare-and-swaps fail although the word is as expected.
    var spuriousFailures = 0
    /// Runs right before a compare-and-swap, with the number of those that came before it.
    var beforeSwap: ((Int) -> Void)?
    private var swaps = 0

    init(_ value: UInt64) { self.value = value }

    func swap(_ expected: UInt64, _ desired: UInt64, isWeak: Bool) -> (Bool, UInt64) {
      let hook = beforeSwap
      // What the hook does to the word is not overtaken in turn.
      beforeSwap = nil
      hook?(swaps)
      beforeSwap = hook
      swaps += 1
      let original = value
      if isWeak && spuriousFailures > 0 && original == expected {
        spuriousFailures -= 1
        return (false, original)
      }
      if original == expected { value = desired }
      return (original == expected, original)
    }
  }

  let rig: Rig

  init(_ value: UInt64) { rig = Rig(value) }

  borrowing func loadRelaxed() -> UInt64 { rig.value }
  borrowing func loadAcquiring() -> UInt64 { rig.value }
  borrowing func storeRelaxed(_ value: UInt64) { rig.value = value }
  borrowing func storeReleasing(_ value: UInt64) { rig.value = value }

  borrowing func weakCompareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    rig.swap(expected, desired, isWeak: true)
  }

  borrowing func weakCompareExchangeReleasing(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    rig.swap(expected, desired, isWeak: true)
  }

  borrowing func compareExchangeAcquiring(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    rig.swap(expected, desired, isWeak: false)
  }

  borrowing func exchangeAcquiring(_ value: UInt64) -> UInt64 {
    defer { rig.value = value }
    return rig.value
  }

  borrowing func subtractReleasing(_ amount: UInt64) -> UInt64 {
    rig.value &-= amount
    return rig.value
  }

  static func delay(at point: DelayPoint, _ value: UInt64) {}
}

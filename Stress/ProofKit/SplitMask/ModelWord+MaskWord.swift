import FDAtomics
public import Interleave
public import SplitMask

extension ModelWord: MaskWord {
  /// See `MaskWord`.
  public borrowing func loadSequentiallyConsistent() -> UInt64 { load(.sequentiallyConsistent) }

  /// See `MaskWord`.
  public borrowing func storeSequentiallyConsistent(_ value: UInt64) {
    store(value, .sequentiallyConsistent)
  }

  /// See `MaskWord`.
  public borrowing func fetchOrSequentiallyConsistent(_ bits: UInt64) -> UInt64 {
    fetchOr(bits, .sequentiallyConsistent)
  }

  /// See `MaskWord`.
  public borrowing func fetchAndSequentiallyConsistent(_ bits: UInt64) -> UInt64 {
    fetchAnd(bits, .sequentiallyConsistent)
  }

  /// See `MaskWord`.
  public borrowing func compareExchangeSequentiallyConsistent(
    expected: UInt64, desired: UInt64
  ) -> (exchanged: Bool, original: UInt64) {
    compareExchange(expected: expected, desired: desired, .sequentiallyConsistent)
  }
}

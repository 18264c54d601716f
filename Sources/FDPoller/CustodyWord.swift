#if SpinDelays
  package import FDAtomics
  package import FDDelays

  /// The word that the poller runs on: every named place between two of its steps may be drawn out.
  package typealias CustodyWord = DelayedWord
  package let custodyWordIsDelayed = true

  extension DelayPoint {
    /// The calling thread passes it, outside of what is generic over the word.
    package func pass(_ value: UInt64) { CustodyWord.delay(at: self, value) }

    /// The calling thread passes it, with a descriptor.
    package func pass(_ handle: FDHandle) { pass(handle.rawValue) }
  }
#else
  public import FDAtomics

  /// The word that the poller runs on. Nothing above this alias is generic over it.
  package typealias CustodyWord = HardwareWord
  package let custodyWordIsDelayed = false

  extension DelayPoint {
    /// Does nothing, and nothing is left of the call.
    @inlinable @inline(__always)
    package func pass(_ value: UInt64) {}

    /// Does nothing, and nothing is left of the call.
    @inlinable @inline(__always)
    package func pass(_ handle: FDHandle) {}
  }
#endif

#if SpinDelays
  package import FDDelays

  /// The word that the poller runs on: every named place between two of its steps may be drawn out.
  package typealias CustodyWord = DelayedWord
  package let custodyWordIsDelayed = true
#else
  package import FDAtomics

  /// The word that the poller runs on. Nothing above this alias is generic over it.
  package typealias CustodyWord = HardwareWord
  package let custodyWordIsDelayed = false
#endif

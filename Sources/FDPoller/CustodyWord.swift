#if SpinDelays
  package import FDDelays

  /// The word that the poller runs on: every named place between two of its steps may be drawn out.
  package typealias CustodyWord = DelayedWord
#else
  package import FDAtomics

  /// The word that the poller runs on. Nothing above this alias is generic over it.
  package typealias CustodyWord = HardwareWord
#endif

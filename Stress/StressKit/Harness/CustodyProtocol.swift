public import SplitMask

/// How the threads of a run agree on who may touch a descriptor.
public enum CustodyProtocol: Sendable, Equatable {
  /// The one word that the poller runs on.
  case oneWord
  /// The published protocol with three words, with a defect or with all of them cured. Nothing but
  /// `Arena` runs on it.
  case splitMask(SplitMaskDefect?)

  /// The defect, if it has one.
  public var defect: SplitMaskDefect? {
    if case .splitMask(let defect) = self { defect } else { nil }
  }
}

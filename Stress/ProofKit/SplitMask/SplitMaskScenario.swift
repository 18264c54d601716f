public import Interleave
public import SplitMask

/// Where a defect of the split-mask protocol shows.
public struct SplitMaskScenario: Sendable {
  /// The defect.
  public let defect: SplitMaskDefect
  /// What the threads do.
  public let roles: [Role]
  /// Whether several threads may be inside at once.
  public let isShared: Bool
  /// Under which memory models it shows; under the others it does not.
  public let models: [MemoryModel]

  /// For each defect the smallest scenario that shows it.
  public static let catalogue = SplitMaskDefect.allCases.map(SplitMaskScenario.init)

  /// Where that defect shows.
  public init(_ defect: SplitMaskDefect) {
    self.defect = defect
    switch defect {
    case .doubleLast, .storeBufferedDelete, .staleThreadMaskLeak:
      roles = [.event, .delete]
      isShared = defect == .staleThreadMaskLeak
    case .takeoverInGap, .casForces, .relaxedPair:
      roles = [.event, .takeover]
      isShared = false
    case .spinNoExit:
      roles = [.event, .event, .delete]
      isShared = true
    case .lastThenStall:
      roles = [.event, .deleteInside]
      isShared = true
    }
    models =
      switch defect {
      case .storeBufferedDelete: [.totalStoreOrder, .c11]
      case .relaxedPair: [.c11]
      default: MemoryModel.allCases
      }
  }
}

/// By which protocol a descriptor is guarded.
public enum Subject: Sendable {
  /// The production source.
  case oneWord
  /// The published protocol, with a defect or with all of them cured.
  case splitMask(SplitMaskDefect?)
}

extension ProofScenario {
  /// A mix of roles for a descriptor.
  ///
  /// - Parameters:
  ///   - roles: what the threads do, one to seven.
  ///   - isShared: whether several threads may be inside at once, as with a listener.
  ///   - subject: what guards it.
  /// - Returns: nil if there are too many threads or none, or if the subject has no verb for a
  ///   role; the split-mask protocol has `event`, `takeover`, and once `delete` or `delete-inside`.
  public init?(custody roles: [Role], isShared: Bool, subject: Subject) {
    guard 1...7 ~= roles.count else { return nil }
    switch subject {
    case .oneWord: self.init(CustodyScenario(roles, isShared: isShared))
    case .splitMask(let defect):
      let scenario = CustodyScenario(roles, isShared: isShared, hasData: defect == nil)
      guard roles.allSatisfy(\.isOfSplitMask), roles.filter(\.ends).count <= 1 else { return nil }
      self.init(scenario.name, threads: roles.count, models: MemoryModel.allCases) {
        { scenario.setUp($0) { SplitMasks($0, defect) } }
      }
    }
  }

  /// The smallest scenario that shows a defect of the split-mask protocol, and the strongest memory
  /// model under which it does.
  public static func scenario(for defect: SplitMaskDefect) -> (ProofScenario, MemoryModel) {
    let shown = SplitMaskScenario(defect)
    guard
      let scenario = ProofScenario(
        custody: shown.roles, isShared: shown.isShared, subject: .splitMask(defect)),
      let model = shown.models.first
    else { preconditionFailure("the catalogue has only roles that the protocol has verbs for") }
    return (scenario, model)
  }
}

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
    case .doubleLast, .storeBufferedDelete, .staleThreadMaskLeak, .ownerGone:
      roles = [.event, .delete]
      isShared = defect == .staleThreadMaskLeak
    case .takeoverInGap, .casForces, .relaxedPair, .wakeUnprotected, .nonatomicState:
      roles = [.event, .takeover]
      isShared = false
    case .spinNoExit:
      roles = [.event, .event, .delete]
      isShared = true
    case .lastThenStall:
      roles = [.event, .deleteInside]
      isShared = true
    case .closingTaken:
      roles = [.delete, .takeover]
      isShared = false
    case .nestedEnter:
      roles = [.nest, .delete]
      isShared = false
    case .deleteWaits:
      roles = [.lockEvent, .lockDelete]
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

extension ProofScenario {
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

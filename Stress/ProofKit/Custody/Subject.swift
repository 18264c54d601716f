import Interleave
public import SplitMask

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
  /// - Returns: nil if there are too many threads or none, if roles of a live descriptor are mixed
  ///   with an insert of it, or if the subject has no verb for a role; the split-mask protocol has
  ///   `event`, `lock-event`, `stale-event`, `takeover`, `nest`, `reuse`, and once `delete`,
  ///   `lock-delete` or `delete-inside`.
  public init?(custody roles: [Role], isShared: Bool, subject: Subject) {
    guard 1...7 ~= roles.count else { return nil }
    switch subject {
    case .oneWord:
      guard !roles.contains(.insert) || roles.allSatisfy(\.mayGoWithInsert) else { return nil }
      self.init(CustodyScenario(roles, isShared: isShared))
    case .splitMask(let defect):
      let scenario = CustodyScenario(roles, isShared: isShared, hasData: defect == nil)
      guard roles.allSatisfy(\.isOfSplitMask), roles.filter(\.ends).count <= 1 else { return nil }
      self.init(scenario.name, threads: roles.count, models: MemoryModel.allCases) {
        let hasGenerations = roles.contains(.reuse) || roles.contains(.staleEvent)
        return {
          scenario.setUp($0) { SplitMasks($0, defect, hasGenerations: hasGenerations) }
        }
      }
    }
  }
}

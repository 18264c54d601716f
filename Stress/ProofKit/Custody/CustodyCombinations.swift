import Interleave

extension ProofScenario {
  /// The production word under a mix of roles.
  init(_ scenario: CustodyScenario, models: [MemoryModel] = Self.strongAndWeak) {
    self.init(scenario.name, threads: scenario.roles.count, models: models) {
      { scenario.setUp($0, OneWord.init) }
    }
  }

  /// Every mix of so many threads, up to their order, for a descriptor with one owner and for a
  /// shared one; so many that insert the same number, or of which the last wants to work on it.
  ///
  /// Four threads are explored under sequential consistency alone.
  static func custody(threads: Int) -> [ProofScenario] {
    let models: [MemoryModel] = threads < 4 ? strongAndWeak : [.sequentiallyConsistent]
    let drawn = [false, true].flatMap { isShared in
      mixes(of: Role.explored[...], threads).map { CustodyScenario($0, isShared: isShared) }
    }
    let inserts = [Role.insert, .event, .takeover].map {
      CustodyScenario(Array(repeating: .insert, count: threads - 1) + [$0], isShared: false)
    }
    let alias = threads == 2 ? [CustodyScenario([.alias, .delete], isShared: false)] : []
    return (drawn + inserts + alias).map { ProofScenario($0, models: models) }
  }

  /// Every way to draw `count` of the roles, with repetition, in their order.
  private static func mixes(of roles: ArraySlice<Role>, _ count: Int) -> [[Role]] {
    guard count > 0 else { return [[]] }
    return roles.indices.flatMap { index in
      mixes(of: roles[index...], count - 1).map { [roles[index]] + $0 }
    }
  }
}

extension Role {
  /// All but those that say nothing new together with most of the others.
  fileprivate static let explored = allCases.filter {
    ![.insert, .alias, .lockEvent, .lockDelete].contains($0)
  }
}

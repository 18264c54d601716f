import Interleave

extension ProofScenario {
  /// The production word under a mix of roles.
  init(_ scenario: CustodyScenario, models: [MemoryModel] = Self.strongAndWeak) {
    self.init(scenario.name, threads: scenario.roles.count, models: models) {
      { scenario.setUp($0, OneWord.init) }
    }
  }

  /// Every mix of so many threads, up to their order, of a descriptor with one owner and of a shared
  /// one.
  ///
  /// Four threads are explored under sequential consistency alone.
  static func custody(threads: Int) -> [ProofScenario] {
    let models: [MemoryModel] = threads < 4 ? strongAndWeak : [.sequentiallyConsistent]
    return [false, true].flatMap { isShared in
      mixes(of: Role.explored[...], threads).map {
        ProofScenario(CustodyScenario($0, isShared: isShared), models: models)
      }
    }
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
  /// All but the insert into a free slot, which goes with none of the others.
  fileprivate static let explored = allCases.filter { $0 != .insert }
}

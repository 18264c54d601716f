import Interleave

/// All that is proved of the production source.
public enum ProofCatalogue {
  /// Every scenario.
  public static let scenarios: [ProofScenario] =
    (2...4).flatMap(ProofScenario.custody) + MailboxScenario.all.map(\.scenario)
    + ParkingScenario.all.map(\.scenario) + PoolScenario.all.map(\.scenario)
    + RegistryScenario.all.map(\.scenario) + FlightScenario.all.map(\.scenario)
    + CacheScenario.all.map(\.scenario)

  /// The shapes that the coordination primitives answer: each is a violation.
  public static let incidents: [ProofScenario] = Incidents.all

  /// Every scenario under each of its models.
  ///
  /// - Parameter isBrief: leaves out those that take long: four threads, and pools whose loop does
  ///   two things.
  public static func steps(isBrief: Bool) -> [ProofStep] {
    scenarios.filter { !(isBrief && $0.isLong) }.flatMap { scenario in
      scenario.models.map { ProofStep(scenario, scenario.options($0)) }
    }
  }

  /// The scenario of that name. Names of mixes of roles need not be in the order of the catalogue.
  ///
  /// - Returns: nil if there is none, or if the subject has no verb for one of its roles.
  public static func scenario(_ name: String, _ subject: Subject = .oneWord) -> ProofScenario? {
    if let mix = mix(name) {
      return ProofScenario(custody: mix.roles, isShared: mix.isShared, subject: subject)
    }
    guard case .oneWord = subject else { return nil }
    return (scenarios + incidents).first { $0.name == name }
  }

  private static func mix(_ name: String) -> (roles: [Role], isShared: Bool)? {
    let prefix = "shared:"
    let isShared = name.hasPrefix(prefix)
    let names = name.dropFirst(isShared ? prefix.count : 0).split(
      separator: "+", omittingEmptySubsequences: false)
    let roles = names.compactMap { Role(rawValue: String($0)) }
    return roles.count == names.count ? (roles, isShared) : nil
  }
}

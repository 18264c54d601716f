/// All that is proved.
public enum ProofCatalogue {
  /// Every scenario, the smallest first.
  public static let scenarios: [ProofScenario] =
    (2...4).flatMap(ProofScenario.custody) + MailboxScenario.all.map(\.scenario)
}

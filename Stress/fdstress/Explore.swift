import ArgumentParser
import Interleave
import ProofKit

struct Explore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a scenario in every order that its threads can take.")

  @Option var threads: Int?
  @Option var only: String?

  func run() throws {
    let scenarios = ProofCatalogue.scenarios.filter {
      (threads == nil || $0.threads == threads) && (only == nil || $0.name.hasPrefix(only!))
    }
    Prover.prove(scenarios) { result in
      print(result.scenario.name, result.model.rawValue, result.report)
    }
  }
}

import Interleave
import ProofKit
import Testing

/// State machines and cores of the coordination primitives, from the production source.
@Suite("Coordination under the explorer")
struct CoordinationTests {
  /// Those with two threads. The others take a release build: `fdstress explore --all --brief`.
  private static func brief(_ prefix: String) -> [String] {
    ProofCatalogue.scenarios.filter { $0.name.hasPrefix(prefix) && $0.threads == 2 }.map(\.name)
  }

  private static let registryScenarios = ProofCatalogue.scenarios.map(\.name).filter {
    $0.hasPrefix("registry:") && $0.count { $0 == "+" } < 3
  }

  private func prove(_ name: String) throws {
    let scenario = try #require(ProofCatalogue.scenario(name))
    let report = scenario.explore(scenario.options(.sequentiallyConsistent))
    #expect(report.isProved, "\(report)")
  }

  @Test(
    "a registry loses no waiter, no reservation and no successor", arguments: registryScenarios)
  func registry(_ name: String) throws { try prove(name) }

  @Test(
    "a single flight loses no caller, begins nothing twice, gives out nothing abandoned",
    arguments: brief("flight:") + ["flight:hanging:caller+cancel+timer"])
  func flight(_ name: String) throws { try prove(name) }

  @Test(
    "a cache never has two instances of a key, stops none in use, and comes to its end",
    arguments: brief("cache:") + ["cache:2:user+evict+shut-down"])
  func cache(_ name: String) throws { try prove(name) }

  struct Found: Sendable, CustomTestStringConvertible {
    let incident: String
    let messages: [String]
    var testDescription: String { incident }
  }

  @Test(
    "the shape of each incident is found to go wrong",
    arguments: [
      Found(incident: "incident:lock-held-across-start", messages: ["deadlock: "]),
      Found(incident: "incident:lock-held-across-stop", messages: ["deadlock: "]),
      Found(
        incident: "incident:broadcast-wake-up",
        messages: ["a session is given to who waits for another id", "a wait ends twice"]),
      Found(
        incident: "incident:clean-up-by-id",
        messages: ["the clean-up of a session has removed its successor", "a reservation is lost"]),
    ])
  func incident(_ found: Found) throws {
    let scenario = try #require(ProofCatalogue.scenario(found.incident))
    let violation = try #require(
      scenario.explore(scenario.options(.sequentiallyConsistent)).violation)
    #expect(found.messages.contains { violation.message.hasPrefix($0) }, "\(violation.message)")
  }
}

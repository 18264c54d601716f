public import ArgumentParser
public import FDPoller
import StressKit

struct FDStress: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdstress",
    abstract: "Tries to break the poller, and says which ledger does not balance.",
    discussion: """
      run does it with real threads and sockets, explore in every order that a few threads can take.

      Exit codes: 0 every ledger balances, 1 one does not, 2 usage, 3 not every order could be \
      explored, 4 something does not go on.
      """,
    subcommands: [List.self, Run.self, Explore.self])
}

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "List the scenarios.")

  func run() {
    for scenario in StressCatalogue.scenarios { print("\(scenario.name): \(scenario.summary)") }
  }
}

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Run one scenario, or all.")

  @Argument(help: "A name from the list; all if there is none.")
  var scenario: String?

  @Option(help: "How long each storm lasts.")
  var seconds = 10.0

  @Option(help: "The poller's threads.")
  var threads = 8

  @Option(help: "The poller's thread groups; as few as hold the threads if not given.")
  var groups: Int?

  @Option(help: "What the poller's threads wait with; auto is io_uring where it can be had.")
  var io = IOBackend.epoll

  @Option(help: "Repeats the choices of a run, which prints it; drawn at random if not given.")
  var seed: UInt64?

  func validate() throws {
    guard seconds > 0, seconds <= 86_400 else {
      throw ValidationError("--seconds \(seconds) is not above 0 and at most a day")
    }
    _ = try chosen()
  }

  func run() throws {
    var parameters = StressParameters(
      duration: .seconds(seconds), threads: threads, groups: groups,
      seed: seed ?? .random(in: 0 ... .max))
    parameters.io = io
    for scenario in try chosen() {
      let prepared: any StressScenario
      do {
        prepared = try scenario.init(parameters)
      } catch {
        throw ValidationError("\(error)")
      }
      print("\(scenario.name): seed \(parameters.seed)")
      let report = prepared.run()
      for line in report.summary { print("  \(line)") }
      for line in report.complaints { print("  BROKEN \(line)") }
      print("\(scenario.name): \(report.verdict)")
      guard report.verdict == .clean else { throw report.verdict }
    }
  }

  private func chosen() throws -> [any StressScenario.Type] {
    guard let scenario else { return StressCatalogue.scenarios }
    let found = StressCatalogue.scenarios.filter { $0.name == scenario }
    guard !found.isEmpty else {
      throw ValidationError("there is no scenario \(scenario); fdstress list tells which there are")
    }
    return found
  }
}

extension IOBackend: ExpressibleByArgument {}

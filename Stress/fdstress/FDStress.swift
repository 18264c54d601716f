import ArgumentParser
import StressKit

struct FDStress: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdstress",
    abstract: "Tries to break the poller, and says which ledger does not balance.",
    discussion: """
      run does it with real threads and sockets, hunt looks for a defect by its name, explore tries \
      every order that a few threads can take.

      Exit codes: 0 every ledger balances, 1 one does not, 2 usage, 3 not every order could be \
      explored, 4 something does not go on.
      """,
    subcommands: [List.self, Run.self, HuntCommand.self, Explore.self])
}

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the scenarios, the places where threads can lose time, or the defects.")

  @Flag(help: "The places for --delay-at.")
  var points = false

  @Flag(help: "The defects that hunt looks for.")
  var defects = false

  func validate() throws {
    if points && defects { throw ValidationError("give --points or --defects, not both") }
  }

  func run() {
    if defects {
      printTable(
        HuntCatalogue.hunts.map { hunt in
          [hunt.defect, hunt.summary + (hunt.doubt.map { "; it may not show: \($0)" } ?? "")]
        })
    } else if points {
      printTable(DelayPointNames.all.map { [$0.name, $0.place] })
    } else {
      printTable(StressCatalogue.scenarios.map { [$0.name, $0.summary] })
    }
  }
}

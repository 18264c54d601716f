import ArgumentParser
import StressKit

struct FDStress: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdstress",
    abstract: "Tries to break the poller, and says which ledger does not balance.",
    discussion: """
      run does it with real threads and sockets, hunt looks for a defect by its name, explore tries \
      every order that a few threads can take, wedge lets one peer hang and measures the others. \
      workload and budget measure single operations.

      Exit codes: 0 every ledger balances, 1 one does not, 2 usage, 3 not every order could be \
      explored, 4 something does not go on.
      """,
    subcommands: [
      List.self, Run.self, HuntCommand.self, Explore.self, WedgeCommand.self,
      WedgeChildCommand.self, WorkloadCommand.self, BudgetCommand.self,
    ])
}

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: """
      List the scenarios, the places where threads can lose time, the defects, or the \
      wedges.
      """)

  @Flag(help: "The places for --delay-at.")
  var points = false

  @Flag(help: "The defects that hunt looks for.")
  var defects = false

  @Flag(help: "What wedge lets hang.")
  var wedges = false

  func validate() throws {
    guard [points, defects, wedges].count(where: { $0 }) < 2 else {
      throw ValidationError("give one of --points, --defects and --wedges")
    }
  }

  func run() {
    if defects {
      printTable(
        HuntCatalogue.hunts.map { hunt in
          [hunt.defect, hunt.summary + (hunt.doubt.map { "; it may not show: \($0)" } ?? "")]
        })
    } else if wedges {
      printTable(WedgeCatalogue.wedges.map { [$0.name, $0.summary] })
    } else if points {
      printTable(DelayPointNames.all.map { [$0.name, $0.place] })
    } else {
      printTable(StressCatalogue.scenarios.map { [$0.name, $0.summary] })
    }
  }
}

import ArgumentParser
import FDPoller
import StressKit

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run scenarios, one after the other.",
    discussion: "Exit codes: 0 clean, 1 a ledger is broken, 2 usage, 4 something does not go on.")

  @Argument(help: "Names from the list; all if there is none.")
  var scenarios: [String] = []

  @OptionGroup var options: RunOptions

  func validate() throws { _ = try chosen() }

  func run() throws {
    let printer: any RunPrinter = options.json ? JSONRunPrinter() : TextRunPrinter()
    let seed = options.chosenSeed
    var reports: [StressReport] = []
    for scenario in try chosen() {
      let parameters = try options.parameters(seed: seed)
      printer.begin(scenario.name, parameters)
      let report: StressReport
      do {
        report = try StressRun.run(scenario, parameters, progress: printer.progress)
      } catch {
        throw ValidationError("\(scenario.name): \(error)")
      }
      printer.end(report)
      reports.append(report)
      // Threads that hang would be in the way of what comes next.
      if report.verdict == .noProgress { break }
    }
    printer.sum(reports)
    let verdicts = reports.map(\.verdict)
    if let bad = verdicts.first(where: { $0 == .violated })
      ?? verdicts.first(where: { $0 != .clean })
    {
      throw bad
    }
  }

  private func chosen() throws -> [any StressScenario.Type] {
    let known = StressCatalogue.scenarios
    let isSplit = options.protocol == .splitMask
    guard !scenarios.isEmpty else {
      return isSplit ? known.filter { $0.ofSplitMask != nil } : known
    }
    return try scenarios.map { name in
      guard let scenario = known.first(where: { $0.name == name }) else {
        throw ValidationError(
          "there is no scenario \(name); fdstress list tells which there are")
      }
      guard !isSplit || scenario.ofSplitMask != nil else {
        let names = known.filter { $0.ofSplitMask != nil }.map { $0.name }
        throw ValidationError(
          "the split-mask protocol has no \(name); it has \(names.joined(separator: " and "))")
      }
      return scenario
    }
  }
}

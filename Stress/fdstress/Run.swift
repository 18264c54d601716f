import ArgumentParser
import FDDelays
import FDPoller
import StressKit

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run scenarios, one after the other.",
    discussion: "Exit codes: 0 clean, 1 a ledger is broken, 2 usage, 4 something does not go on.")

  @Argument(help: "Names from the list; all if there is none.")
  var scenarios: [String] = []

  @Flag(
    help: """
      The scenarios in turn, five seconds each, with threads and groups drawn for each, until \
      --seconds are over.
      """)
  var mix = false

  @OptionGroup var options: RunOptions

  func validate() throws {
    _ = try chosen()
    guard !mix || options.threads == nil && options.groups == nil else {
      throw ValidationError("--mix draws threads and groups: give neither")
    }
  }

  func run() throws {
    let printer: any RunPrinter = options.json ? JSONRunPrinter() : TextRunPrinter()
    let seed = options.chosenSeed
    let scenarios = try chosen()
    var reports: [StressReport] = []
    var verdict = StressReport.Verdict.clean
    func perform(_ scenario: any StressScenario.Type, _ parameters: StressParameters) throws {
      printer.begin(scenario.name, parameters)
      let report: StressReport
      do {
        report = try StressRun.run(scenario, parameters, progress: printer.progress)
      } catch {
        // What was found before must not be lost.
        if verdict != .clean {
          printer.sum(reports, seed: seed)
          throw verdict
        }
        throw ValidationError("\(scenario.name): \(error)")
      }
      printer.end(report)
      reports.append(report)
      if verdict == .clean || report.verdict == .violated { verdict = report.verdict }
    }
    if mix {
      var parameters = MixedParameters(try options.parameters(seed: seed))
      // One that is not clean ends it: what it has left behind would be in the way.
      while verdict == .clean, let next = parameters.next() {
        try perform(scenarios[(parameters.number - 1) % scenarios.count], next)
      }
    } else {
      for scenario in scenarios where verdict != .noProgress {
        try perform(scenario, try options.parameters(seed: seed))
      }
    }
    printer.sum(reports, seed: seed)
    if verdict != .clean { throw verdict }
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

/// The parameters of one run after the other, until their time is over.
private struct MixedParameters {
  private let whole: StressParameters
  private let end: ContinuousClock.Instant
  private var random: SplitMix
  /// How many have been handed out.
  private(set) var number = 0

  private static let round = Duration.seconds(5)

  init(_ whole: StressParameters) {
    self.whole = whole
    end = .now + whole.duration
    random = SplitMix(seed: whole.seed)
  }

  mutating func next() -> StressParameters? {
    let rest = end - .now
    guard rest > .zero else { return nil }
    number += 1
    var parameters = whole
    parameters.duration = min(rest, Self.round)
    parameters.seed = random.next()
    parameters.delays?.seed = parameters.seed
    // The masks of the split-mask protocol have room for 16 threads.
    let most = whole.custody == .oneWord ? 64 : 16
    parameters.threads =
      [2, 3, 4, 6, 8, 12, 16, 24, 64].filter { $0 <= most }
      .randomElement(using: &random) ?? whole.threads
    let fewest = (parameters.threads + 15) / 16
    parameters.groups = Int.random(
      in: fewest...min(parameters.threads, fewest + 2), using: &random)
    return parameters
  }
}

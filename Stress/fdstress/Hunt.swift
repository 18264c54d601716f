import ArgumentParser
import FDPoller
import StressKit

struct HuntCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hunt",
    abstract: "Hunt a defect with the scenario and the delays that suit it.",
    discussion: """
      list --defects tells which there are. Every build has those of the split-mask protocol, in a \
      place of their own; those of the runtime are patches, built by Stress/mutants/run --defects.

      Exit codes: 1 found (with --all every one, with --seeds in nine of ten), 0 not found, 2 usage.
      """)

  @Option(help: "The name of the defect.")
  var defect: String?

  @Flag(help: "Every defect of the split-mask protocol that this machine can show.")
  var all = false

  @Option(help: "For how long each defect is hunted.")
  var seconds = 10.0

  @Option(help: "Repeats the choices of a hunt, which prints it; drawn at random if not given.")
  var seed: UInt64?

  @Option(help: "With so many seeds, one after the other.")
  var seeds = 1

  @Option(help: "What the poller's threads wait with; what suits the defect if not given.")
  var io: IOBackend?

  @Flag(help: "Without delays, as in a build that has none.")
  var withoutDelays = false

  @Flag(help: "One JSON object per hunt and line.")
  var json = false

  func validate() throws {
    guard all != (defect != nil) else { throw ValidationError("give --defect or --all") }
    guard seconds > 0 && seconds <= 86_400 else {
      throw ValidationError("--seconds \(seconds) is not above 0 and at most a day")
    }
    guard 1...1_000 ~= seeds else {
      throw ValidationError("--seeds \(seeds) is not 1 to 1000")
    }
    _ = try chosen()
  }

  func run() throws {
    let seed = seed ?? .random(in: 0 ... .max)
    let printer: any HuntPrinter = json ? JSONHuntPrinter() : TextHuntPrinter()
    var outcomes: [Hunt.Outcome] = []
    var areAllFound = true
    for hunt in try chosen() {
      let found = try (0..<UInt64(seeds)).reduce(0) { found, number in
        let outcome = try perform(hunt, seed: seed &+ number, printer)
        outcomes.append(outcome)
        return found + (outcome.isFound ? 1 : 0)
      }
      if found * 10 < seeds * 9 { areAllFound = false }
    }
    printer.sum(outcomes, seed: seed)
    if areAllFound { throw StressReport.Verdict.violated }
  }

  private func perform(
    _ hunt: Hunt, seed: UInt64, _ printer: any HuntPrinter
  ) throws -> Hunt.Outcome {
    printer.begin(hunt, seed: seed, hasDelays: hasDelays)
    let outcome: Hunt.Outcome
    do {
      outcome = try hunt.run(for: .seconds(seconds), seed: seed) { parameters in
        if let io { parameters.io = io }
        if !hasDelays { parameters.delays = nil }
      }
    } catch {
      throw ValidationError("\(hunt.defect): \(error)")
    }
    printer.end(outcome)
    return outcome
  }

  private var hasDelays: Bool { StressParameters.delaysAreBuiltIn && !withoutDelays }

  private func chosen() throws -> [Hunt] {
    guard let defect else { return HuntCatalogue.builtIn.filter { $0.doubt == nil } }
    guard let hunt = HuntCatalogue.hunt(defect) else {
      throw ValidationError(
        "there is no defect \(defect) to hunt; fdstress list --defects tells which there are")
    }
    return [hunt]
  }
}

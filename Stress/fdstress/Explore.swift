public import ArgumentParser
public import Interleave
import ProofKit
public import SplitMask

struct Explore: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a scenario in every order that its threads can take.",
    discussion: """
      Scenarios of the ownership word are named by what their threads do to one descriptor, joined \
      by +, with shared: before it if several may be inside at once: event+delete, \
      shared:event+event+delete. --list has the words, and the scenarios of mailbox, parking, \
      pool and the coordination primitives.

      Exit codes: 0 proved, 1 violation, 3 not exhausted, 2 usage.
      """)

  enum Guard: String, ExpressibleByArgument, CaseIterable {
    case oneWord = "one-word"
    case splitMask = "split-mask"
  }

  @Argument(help: "What to explore.")
  var scenario: String?

  @Flag(help: "List what there is.")
  var list = false

  @Flag(help: "The whole proof: every scenario, under each of its memory models.")
  var all = false

  @Flag(help: "With --all: without the scenarios that take long.")
  var brief = false

  @Option(help: "The memory model; each that belongs to the scenario's proof if not given.")
  var model: MemoryModel?

  @Option(help: "Who guards the descriptor: what production runs, or the protocol before it.")
  var `protocol`: Guard?

  @Option(help: "A defect of the split-mask protocol, by its name. Alone, where it shows best.")
  var defect: SplitMaskDefect?

  @Option(help: "At most so many times a thread is interrupted that could go on. No proof then.")
  var preemptions: Int?

  @Option(help: "One execution only: the choices that a violation has printed.")
  var replay: String?

  @Flag(help: "One JSON object per exploration and line.")
  var json = false

  func validate() throws {
    let isChosen = scenario != nil || defect != nil || `protocol` == .splitMask
    let isBounded = replay != nil || preemptions != nil
    if list {
      guard !isChosen, !isBounded, !all, !brief, !json, model == nil else {
        throw ValidationError("--list goes alone")
      }
      return
    }
    if all {
      guard !isChosen, !isBounded else {
        throw ValidationError(
          "--all is the proof of the production source, and takes no scenario and no bound")
      }
      guard try !steps().isEmpty else {
        throw ValidationError("the proof has no exploration under that model")
      }
      return
    }
    guard !brief else { throw ValidationError("--brief goes with --all") }
    if let preemptions, preemptions < 0 {
      throw ValidationError("--preemptions \(preemptions) is below 0")
    }
    if defect != nil && `protocol` == .oneWord {
      throw ValidationError("--defect is one of --protocol split-mask; the one word has none")
    }
    let steps = try steps()
    if replay != nil && steps.count > 1 {
      throw ValidationError("--replay needs the --model that the violation was found under")
    }
  }

  func run() throws {
    if list { return listAll() }
    let tally = ExplorationTally(
      printer: json ? JSONPrinter() : TextPrinter(isOne: !all, subject: subject))
    Prover.run(try steps(), report: tally.add)
    try tally.finish()
  }

  // MARK: What to explore

  private func steps() throws -> [ProofStep] {
    if all {
      let steps = ProofCatalogue.steps(isBrief: brief)
      return model.map { model in steps.filter { $0.options.model == model } } ?? steps
    }
    let (scenario, models) = try chosen()
    return try models.map { model in
      var options = scenario.options(model)
      options.preemptions = preemptions
      options.replay = try choices()
      return ProofStep(scenario, options)
    }
  }

  private func chosen() throws -> (ProofScenario, [MemoryModel]) {
    guard let name = scenario else {
      guard let defect else {
        throw ValidationError("name a scenario, or give --all; --list tells which there are")
      }
      let (scenario, model) = ProofScenario.scenario(for: defect)
      return (scenario, [self.model ?? model])
    }
    let isSplit = defect != nil || `protocol` == .splitMask
    guard
      let scenario = ProofCatalogue.scenario(name, isSplit ? .splitMask(defect) : .oneWord)
    else {
      throw ValidationError(
        isSplit
          ? "the split-mask protocol has no scenario \(name); it knows event, stale-event, "
            + "takeover, reuse, and one of delete and delete-inside"
          : "there is no scenario \(name); fdstress explore --list tells which there are")
    }
    return (scenario, model.map { [$0] } ?? scenario.models)
  }

  /// The flags that choose who guards the descriptor.
  private var subject: String {
    if let defect { return " --defect \(defect.rawValue)" }
    return `protocol` == .splitMask ? " --protocol split-mask" : ""
  }

  private func choices() throws -> [Int]? {
    guard let replay else { return nil }
    let words = replay.split(separator: ".", omittingEmptySubsequences: false)
    let choices = words.compactMap { Int($0) }
    guard choices.count == words.count, choices.allSatisfy({ $0 >= 0 }) else {
      throw ValidationError("--replay \(replay) is not a list of numbers like 0.1.1")
    }
    return choices
  }

  private func listAll() {
    print(
      "Roles, any mix of up to seven (more than four take long; the proof has every mix of two, "
        + "three and four):")
    for role in Role.allCases where role != .insert { print("  \(role.rawValue)") }
    print("Roles for a number that nobody holds yet: insert, event, takeover.")
    print("Defects of the split-mask protocol, and where they show:")
    for shown in SplitMaskScenario.catalogue {
      let models = shown.models.map(\.rawValue).joined(separator: ", ")
      let (scenario, _) = ProofScenario.scenario(for: shown.defect)
      print("  \(shown.defect.rawValue): \(scenario.name) (\(models))")
    }
    print("Mailbox, parking, pool, registry, flight and cache:")
    for scenario in ProofCatalogue.scenarios where scenario.name.contains(":") {
      if !scenario.name.hasPrefix("shared:") { print("  \(scenario.name)") }
    }
    print("Incidents, which the registry and the cache answer:")
    for scenario in ProofCatalogue.incidents { print("  \(scenario.name)") }
  }
}

extension MemoryModel: ExpressibleByArgument {}
extension SplitMaskDefect: ExpressibleByArgument {}

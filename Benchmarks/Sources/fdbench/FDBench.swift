import ArgumentParser

/// Measures this package and its peers side by side.
struct FDBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fdbench",
    abstract: "Measures servers of swift-fd-poller and their peers side by side.",
    discussion: """
      Contenders take turns, round by round, each with a server of its own. The figures, the plots \
      and every single sample go into the output folder, under a name that is quick or full.
      """)

  @Flag(help: "One thread, short rounds, fewer points: some two minutes.")
  var quick = false

  @Option(
    help: ArgumentHelp(
      "Only measurements whose names begin with one of these, separated by commas; see --list.",
      valueName: "names"))
  var only: String?

  @Option(help: ArgumentHelp("Rounds of each comparison.", valueName: "number"))
  var rounds: Int?

  @Flag(help: "Say what would be measured, and what is not installed.")
  var list = false

  @Option(help: ArgumentHelp("Where the results go.", valueName: "folder"))
  var output = "Benchmarks/Results"

  @Option(
    help: ArgumentHelp(
      "Where the programs of the package Benchmarks are; fdproxy is next to this one.",
      valueName: "folder"))
  var programs = "Benchmarks/.build/release"

  mutating func validate() throws {
    if let rounds, !(1...1_000 ~= rounds) {
      throw ValidationError("--rounds is \(rounds); it can be 1 to 1000")
    }
  }

  func run() throws {
    var plan = quick ? Plan.quick : Plan.full
    if let rounds { plan.rounds = rounds }
    Interruption.watch()
    DescriptorLimit.raise()
    let stage = try Stage(programsIn: [programs, Folders.own])
    defer { stage.tearDown() }
    let session = try Session(stage, plan, only: only?.split(separator: ",").map(String.init))
    if list { return session.list() }
    try session.run(
      name: (quick ? "quick" : "full") + (only == nil ? "" : "-part"), output: output,
      command: (["fdbench"] + CommandLine.arguments.dropFirst()).joined(separator: " "))
  }
}

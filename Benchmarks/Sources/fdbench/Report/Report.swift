/// What a run has measured, as text, as drawings, and for programs.
struct Report {
  let name: String
  let command: String
  let machine: Machine
  let plan: Plan
  let results: Results
  let whyNoSystemCalls: String?

  /// - Returns: the paths.
  func write(into folder: String) throws(Failure) -> [String] {
    try Files.makeFolder(folder)
    var paths: [String] = []
    func write(_ text: String, _ ending: String) throws(Failure) {
      paths.append("\(folder)/\(name)\(ending)")
      try Files.write(text, to: paths[paths.count - 1])
    }
    try write(markdown, ".md")
    try write(csv, ".csv")
    if let svg = ratioChart { try write(svg, "-ratios.svg") }
    for result in results.comparisons {
      if let svg = curves(of: result) { try write(svg, "-\(fileName(result)).svg") }
    }
    return paths
  }

  private func fileName(_ result: ComparisonResult) -> String {
    result.comparison.id.split(separator: "/").joined(separator: "-")
  }

  // MARK: - Markdown

  var markdown: String {
    var text = "# Measured side by side\n\n"
    for (name, value) in [("command", "`\(command)`")] + machine.facts {
      text += "- \(name): \(value)\n"
    }
    text += """
      - rounds: \(plan.rounds) after one that warms up, of \(decimal(plan.seconds, 2)) s each; \
      each with a server of its own, in turn

      Figures are medians, with the smallest and the largest round in parentheses. CPU is what the \
      server has run, in user mode and in the kernel, with all its threads, divided by the requests \
      that it has served. Absolute figures say little about another machine; ratios within one \
      run do. A measurement during which others used a tenth of a core was made again, up to \
      \(plan.repeats) times, and \(plan.repeatsInAll) times in the whole run; `disturbed` counts \
      the rounds that were no better then.


      """
    if let whyNoSystemCalls {
      text += "System calls are not counted: \(whyNoSystemCalls).\n\n"
    }
    text += "## Targets\n\n" + targets.text + "\n"
    if ratioChart != nil { text += "![Ratios](\(name)-ratios.svg)\n\n" }
    for result in results.comparisons {
      text += "## \(result.comparison.title)\n\n"
      if let note = result.comparison.note { text += note + "\n\n" }
      text += (result.comparison.axis == nil ? table(of: result) : growthTable(of: result))
      if curves(of: result) != nil {
        text += "![\(result.comparison.title)](\(name)-\(fileName(result)).svg)\n\n"
      }
    }
    for memory in results.memory { text += memoryTable(memory) }
    return text + takeoverText
  }

  /// What is to be reached, and what was.
  var targets: Table {
    var table = Table(["work", "against", "at most", "reached", "min to max", ""])
    for target in Target.all {
      let reached = target.reached(results)
      table.add([
        target.work, target.against, target.text(target.limit),
        reached.map { target.text($0.median) } ?? "-",
        reached.map { "\(target.text($0.minimum)) to \(target.text($0.maximum))" } ?? "-",
        reached.map { $0.median <= target.limit ? "reached" : "missed" } ?? "not measured",
      ])
    }
    return table
  }

  private func cell(_ series: Series?, _ text: (Double) -> String) -> String {
    series.map { "\(text($0.median)) (\(text($0.minimum))–\(text($0.maximum)))" } ?? "-"
  }

  private func table(of result: ComparisonResult) -> String {
    var table = Table(
      ["server"] + Metric.allCases.map(\.rawValue) + ["system calls", "disturbed"])
    var absent = Absentees()
    for outcome in result.outcomes {
      let label = outcome.contender.subject.label
      if let failure = outcome.failure {
        absent.add(label, failure)
        continue
      }
      table.add(
        [label] + Metric.allCases.map { cell(outcome.series($0), $0.text) }
          + [outcome.systemCalls.map { decimal($0, 2) } ?? "-", "\(outcome.disturbed)"])
    }
    return (table.isEmpty ? "" : table.text + "\n") + absent.text
  }

  private func growthTable(of result: ComparisonResult) -> String {
    let pools = result.outcomes.contains { $0.samples.contains { $0.pooled != nil } }
    var table = Table(
      ["server", result.comparison.axis ?? ""] + (pools ? ["idle in the pool"] : [])
        + ["CPU us per request", "requests/s", "disturbed"])
    var absent = Absentees()
    for outcome in result.outcomes {
      let label = outcome.contender.subject.label
      let x = grouped(outcome.contender.x ?? 0)
      if let failure = outcome.failure {
        absent.add("\(label) (\(x))", failure)
        continue
      }
      let pooled = Series(outcome.samples.compactMap { $0.pooled.map(Double.init) })
      table.add(
        [label, x] + (pools ? [pooled.map { grouped($0.median) } ?? "-"] : [])
          + [Metric.cpu, .rate].map { cell(outcome.series($0), $0.text) }
          + ["\(outcome.disturbed)"])
    }
    return (table.isEmpty ? "" : table.text + "\n") + absent.text
  }

  private func memoryTable(_ memory: IdleMemory) -> String {
    var table = Table(
      ["server"] + plan.idleConnections.map { "\(grouped(Double($0))) connections" })
    var absent = Absentees()
    for subject in memory.subjects {
      let figures = plan.idleConnections.map { memory.figure(subject.id, $0) }
      for case let figure? in figures {
        guard let reason = figure.reason else { continue }
        absent.add("\(subject.label) (\(grouped(Double(figure.connections))))", reason)
      }
      guard figures.contains(where: { $0?.bytes != nil }) else { continue }
      table.add([subject.label] + figures.map { cell($0?.bytes, grouped) })
    }
    return "## Bytes of user memory per idle connection: \(memory.title)\n\n"
      + (table.isEmpty ? "" : table.text + "\n") + absent.text
  }

  private var takeoverText: String {
    guard let takeovers = results.takeovers else { return "" }
    var text = "## Taking an idle connection over, against a new one\n\n"
    if let failure = takeovers.failure { return text + "Left out: \(failure).\n" }
    var table = Table(["", "us"])
    for (name, series) in [
      ("an idle connection of another loop, until it can be written to", takeovers.usable),
      ("the same, until the kernel poller of the new loop has it", takeovers.takeover),
      ("an empty round of the loop, which is part of that", takeovers.round),
      ("connect() to the same server, until it can be written to", takeovers.connect),
    ] {
      table.add([name, cell(series) { decimal($0, 2) }])
    }
    text += table.text
    return text
  }
}

import ArgumentParser
import Glibc
import StressKit
import Workloads

struct BudgetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "budget",
    abstract: "Count the instructions of the workloads, and compare them with the budget.",
    discussion: """
      Valgrind's callgrind counts them, so this takes a few seconds, and it does not matter what \
      else the machine does. There is a budget for each compiler, architecture and C library; \
      where there is none, or no valgrind, nothing is compared, and a line says so.

      Exit codes: 0 as the budget says, or not compared; 1 a workload differs by more than 3 %, 2 \
      usage.
      """)

  @Option(help: "The folder with the budgets.")
  var folder = "Stress/Budget"

  @Flag(help: "Write what was counted into the budget, where it differs by more than 3 %.")
  var write = false

  @Option(help: "Why it differs, in one line. With --write.")
  var reason: String?

  /// More would only take longer.
  private static let repetitions = 200

  func validate() throws {
    guard write == (reason != nil) else {
      throw ValidationError("--write and --reason go together: a change of the budget has a reason")
    }
    if let reason, reason.isEmpty || reason.contains("\n") {
      throw ValidationError("--reason is empty or has several lines: give one line")
    }
  }

  func run() throws {
    let path = folder + "/" + BudgetKey.fileName
    guard Callgrind.isThere else {
      return print("not compared: there is no valgrind on the PATH")
    }
    let text = contents(of: path)
    if text == nil && !write {
      return print("not compared: there is no \(path); `make budget REASON='...'` writes it")
    }
    let budget: InstructionBudget
    do {
      budget = try text.map { try InstructionBudget(parsing: $0) } ?? InstructionBudget()
    } catch {
      throw ValidationError("\(path): \(error)")
    }
    let counts = try Callgrind.count(WorkloadCatalogue.exact, Self.repetitions)
    if let reason {
      try adopt(counts, reason, into: budget, path)
    } else {
      try compare(counts, with: budget, path)
    }
  }

  private func compare(
    _ counts: [(workload: String, count: Double)], with budget: InstructionBudget, _ path: String
  ) throws {
    printTable(
      counts.map { workload, count in
        let line = budget.lines.first { $0.workload == workload }
        return [workload, tenths(count), line.map { "of " + tenths($0.instructions) } ?? "of none"]
      })
    let complaints = budget.complaints(about: counts, file: path)
    for complaint in complaints { print(complaint) }
    if !complaints.isEmpty { throw StressReport.Verdict.violated }
  }

  private func adopt(
    _ counts: [(workload: String, count: Double)], _ reason: String, into old: InstructionBudget,
    _ path: String
  ) throws {
    var budget = old
    budget.adopt(counts, reason: reason)
    guard budget != old else { return print("\(path) is as it should be") }
    try save(budget.text, to: path)
    for line in budget.lines where !old.lines.contains(line) {
      print("\(line.workload): \(tenths(line.instructions)), \(line.reason)")
    }
    print("\(path) is changed")
  }
}

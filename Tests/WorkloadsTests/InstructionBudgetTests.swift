import Testing
import Workloads

@Suite struct InstructionBudgetTests {
  private let budget = """
    # workload      instructions  reason
    enter-leave             30.0  counted first
    delete-close          1000.0

    """

  private func parsed() throws -> InstructionBudget { try InstructionBudget(parsing: budget) }

  @Test func `a budget is read and written as it stands`() throws {
    let read = try parsed()
    #expect(read.lines.map(\.workload) == ["enter-leave", "delete-close"])
    #expect(read.lines.map(\.instructions) == [30, 1_000])
    #expect(read.lines.map(\.reason) == ["counted first", ""])
    #expect(try InstructionBudget(parsing: read.text) == read)
  }

  @Test(arguments: ["enter-leave", "enter-leave many", "enter-leave -3", "enter-leave 1,000.0 why"])
  func `a line that says nothing is refused by its words`(line: String) {
    let mistake = #expect(throws: InstructionBudget.Mistake.self) {
      try InstructionBudget(parsing: "# fine\n\(line)\n")
    }
    #expect(mistake?.description.hasPrefix("\"\(line)\" is not a workload") == true)
  }

  @Test func `a change within 3 percent is borne, either way`() throws {
    let counts = [("enter-leave", 30.8), ("delete-close", 971.0)]
    #expect(try parsed().complaints(about: counts, file: "f") == [])
  }

  @Test func `a change above 3 percent is told with the workload, both counts and the remedy`()
    throws
  {
    let counts = [("enter-leave", 31.0), ("delete-close", 969.0)]
    let remedy = "If that is meant, run `make budget REASON='why'`, which changes f."
    #expect(
      try parsed().complaints(about: counts, file: "f") == [
        "enter-leave takes 31.0 instructions instead of 30.0, 3.3 % more. \(remedy)",
        "delete-close takes 969.0 instructions instead of 1000.0, 3.1 % less. \(remedy)",
      ])
  }

  @Test func `a workload without a line and a line without a workload are told`() throws {
    let complaints = try parsed().complaints(
      about: [("enter-leave", 30), ("takeover", 50)], file: "f")
    #expect(complaints.count == 2)
    #expect(complaints.first?.hasPrefix("takeover takes 50.0 instructions and has no") == true)
    #expect(complaints.last?.hasPrefix("delete-close is no workload that is counted") == true)
  }

  @Test func `only what has changed gets the new count and the reason`() throws {
    var changed = try parsed()
    changed.adopt(
      [("takeover", 50.04), ("enter-leave", 30.5), ("delete-close", 900)], reason: "so")
    #expect(changed.lines.map(\.workload) == ["takeover", "enter-leave", "delete-close"])
    #expect(changed.lines.map(\.instructions) == [50, 30, 900])
    #expect(changed.lines.map(\.reason) == ["so", "counted first", "so"])
  }
}

import Interleave
import Testing

@Suite("Random programs")
struct RandomProgramTests {
  @Test(
    "what the search leaves out changes no outcome, and no deadlock",
    arguments: MemoryModel.allCases)
  func shortCuts(model: MemoryModel) {
    var generator = ProgramGenerator(seed: 7)
    var deadlocks = 0
    for number in 0..<60 {
      let program = generator.program(atomicsOnly: number % 4 == 0)
      let plain = program.explored(model, merges: false, prunes: false)
      // A deadlock ends the exploration: then only the verdicts can be compared.
      let isDeadlock = plain.report.violation != nil
      deadlocks += isDeadlock ? 1 : 0
      for (merges, prunes) in [(true, false), (false, true), (true, true)] {
        let short = program.explored(model, merges: merges, prunes: prunes)
        #expect(
          isDeadlock == (short.report.violation != nil)
            && (isDeadlock || short.outcomes == plain.outcomes),
          "merges \(merges), prunes \(prunes): \(program)\n\(short.report)")
        #expect(short.report.executions <= plain.report.executions || isDeadlock)
      }
    }
    #expect(0 < deadlocks && deadlocks < 60)
  }

  @Test(
    "the outcomes are those of a plain interpreter",
    arguments: [MemoryModel.sequentiallyConsistent, .totalStoreOrder])
  func interpreter(model: MemoryModel) {
    var generator = ProgramGenerator(seed: 11)
    for _ in 0..<150 {
      let program = generator.program(atomicsOnly: true)
      let explored = program.explored(model)
      #expect(explored.report.isProved)
      #expect(explored.outcomes == InterleavingModel.outcomes(program, model), "\(program)")
    }
  }

  @Test("the outcomes are those that the axioms of C++20 allow")
  func axioms() {
    var generator = ProgramGenerator(seed: 13)
    for _ in 0..<100 {
      let program = generator.program(atomicsOnly: true)
      let explored = program.explored(.c11)
      #expect(explored.report.isProved)
      let allowed = AxiomaticModel.outcomes(program)
      #expect(
        explored.outcomes == allowed,
        "\(program)\ntoo few: \(allowed.subtracting(explored.outcomes))\ntoo many: \(explored.outcomes.subtracting(allowed))")
    }
  }
}

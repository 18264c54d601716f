import Interleave
import Testing

/// The engine against what it leaves out, and against models that have nothing in common with it.
@Suite("Random programs")
struct RandomProgramTests {
  @Test(
    "what the search leaves out changes no outcome, and hides no deadlock and no race",
    arguments: MemoryModel.allCases, [ProgramGenerator.Vocabulary.everything, .atomicsAndPlainData])
  func shortCuts(model: MemoryModel, vocabulary: ProgramGenerator.Vocabulary) {
    var generator = ProgramGenerator(seed: 7)
    var (proofs, violations) = (0, 0)
    for number in 0..<120 {
      generator.repeatsValues = number % 2 == 0
      let program = generator.program(of: vocabulary)
      let plain = program.explored(model, merges: false, prunes: false, executions: 10_000)
      if case .notExhausted = plain.report.verdict { continue }
      // A violation ends the exploration: then only the verdicts can be compared.
      let isViolation = plain.report.violation != nil
      if isViolation { violations += 1 } else { proofs += 1 }
      for (merges, prunes) in [(true, false), (false, true), (true, true)] {
        let short = program.explored(model, merges: merges, prunes: prunes)
        #expect(
          isViolation == (short.report.violation != nil)
            && (isViolation || short.outcomes == plain.outcomes),
          "merges \(merges), prunes \(prunes): \(program)\n\(short.report)")
        #expect(isViolation || short.report.executions <= plain.report.executions)
      }
    }
    #expect(proofs > 30 && violations > 10)
  }

  @Test(
    "within a bound on preemptions, merging changes no outcome", arguments: MemoryModel.allCases)
  func bounds(model: MemoryModel) {
    var generator = ProgramGenerator(seed: 23)
    for number in 0..<40 {
      generator.repeatsValues = number % 2 == 0
      let program = generator.program(of: .everything)
      for bound in 0...2 {
        let plain = program.explored(model, merges: false, preemptions: bound)
        let merged = program.explored(model, preemptions: bound)
        let isViolation = plain.report.violation != nil
        #expect(
          isViolation == (merged.report.violation != nil)
            && (isViolation || merged.outcomes == plain.outcomes),
          "at most \(bound): \(program)\n\(merged.report)")
      }
    }
  }

  @Test(
    "symmetric threads have the outcomes of equal ones, up to who is who",
    arguments: MemoryModel.allCases)
  func symmetry(model: MemoryModel) {
    var generator = ProgramGenerator(seed: 19)
    for _ in 0..<12 {
      let program = generator.symmetricProgram()
      let all = program.explored(model)
      let symmetric = program.explored(model, symmetry: 1)
      #expect(all.report.isProved == symmetric.report.isProved, "\(program)")
      guard all.report.isProved else { continue }
      #expect(symmetric.report.executions <= all.report.executions)
      let width = ((all.outcomes.first?.count ?? 0) - program.words) / 3
      func permuted(_ outcomes: Program.Outcomes) -> Program.Outcomes {
        Program.Outcomes(
          outcomes.flatMap { outcome in
            let parts = (0..<3).map { outcome[($0 * width)..<(($0 + 1) * width)] }
            return [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map {
              $0.flatMap { parts[$0] } + outcome[(3 * width)...]
            }
          })
      }
      #expect(permuted(symmetric.outcomes) == all.outcomes, "\(program)")
    }
  }

  @Test(
    "the outcomes are those of a plain interpreter",
    arguments: [MemoryModel.sequentiallyConsistent, .totalStoreOrder])
  func interpreter(model: MemoryModel) {
    var generator = ProgramGenerator(seed: 11)
    for number in 0..<150 {
      generator.repeatsValues = number % 2 == 0
      let program = generator.program(of: .atomics)
      let explored = program.explored(model)
      #expect(explored.report.isProved)
      #expect(explored.outcomes == InterleavingModel.outcomes(program, model), "\(program)")
    }
  }

  @Test("the outcomes are those that the axioms of C++20 allow")
  func axioms() {
    var generator = ProgramGenerator(seed: 13)
    for number in 0..<150 {
      generator.repeatsValues = number % 2 == 0
      let program = generator.program(of: .atomics)
      let explored = program.explored(.c11)
      #expect(explored.report.isProved)
      let allowed = AxiomaticModel.outcomes(program).outcomes
      #expect(
        explored.outcomes == allowed,
        """
        \(program)
        too few: \(allowed.subtracting(explored.outcomes))
        too many: \(explored.outcomes.subtracting(allowed))
        """)
    }
  }

  @Test("a data race is found if and only if the axioms of C++20 have one")
  func races() {
    var generator = ProgramGenerator(seed: 17)
    var races = 0
    let programs = 150
    for number in 0..<programs {
      generator.repeatsValues = number % 2 == 0
      let program = generator.program(of: .atomicsAndPlainData)
      let hasRace = AxiomaticModel.outcomes(program).hasRace
      races += hasRace ? 1 : 0
      let explored = program.explored(.c11)
      #expect(explored.report.isProved == !hasRace, "\(program)\n\(explored.report)")
      #expect(explored.report.violation.map { $0.message.hasPrefix("data race") } ?? true)
    }
    #expect(0 < races && races < programs)
  }
}

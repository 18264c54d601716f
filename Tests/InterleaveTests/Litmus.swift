import Interleave
import Testing

/// A litmus test: a program, the one outcome that it is about, and which models allow it.
///
/// The outcome is what the loads and read-modify-writes read, thread by thread, and then the words'
/// final values; nil is any value. All words begin as 0.
struct Litmus: CustomTestStringConvertible, Sendable {
  let name: String
  let threads: [[Program.Step]]
  let outcome: [UInt64?]
  let allowed: Set<MemoryModel>

  init(
    _ name: String, _ threads: [[Program.Step]], _ outcome: [UInt64?],
    allowed: Set<MemoryModel>
  ) {
    self.name = name
    self.threads = threads
    self.outcome = outcome
    self.allowed = allowed
  }

  var testDescription: String { name }

  var program: Program { Program(threads: threads, words: 3) }

  /// The explorer finds the outcome where it is allowed, and all in all exactly the outcomes that
  /// the reference models have.
  func check(_ model: MemoryModel) {
    let (outcomes, report) = program.explored(model)
    #expect(report.isProved, "\(report)")
    let isFound = outcomes.contains { found in
      zip(found, outcome).allSatisfy { $1 == nil || $0 == $1 }
    }
    #expect(isFound == allowed.contains(model), "\(model): \(outcomes)")
    let reference =
      model == .c11
      ? AxiomaticModel.outcomes(program).outcomes : InterleavingModel.outcomes(program, model)
    #expect(outcomes == reference, "\(model)")
  }
}

let x = 0
let y = 1
let z = 2

/// The sets of models that allow something.
let none: Set<MemoryModel> = []
let onlyC11: Set<MemoryModel> = [.c11]
let weak: Set<MemoryModel> = [.totalStoreOrder, .c11]
let all = Set(MemoryModel.allCases)

/// Steps as the literature writes them: r is a load, w a store, u a read-modify-write.
func r(_ word: Int, _ ordering: Ordering) -> Program.Step { .load(word, ordering) }
func w(_ word: Int, _ value: UInt64, _ ordering: Ordering) -> Program.Step {
  .store(word, value, ordering)
}
func u(_ word: Int, _ value: UInt64, _ ordering: Ordering) -> Program.Step {
  .exchange(word, value, ordering)
}

extension Ordering {
  static var sc: Ordering { .sequentiallyConsistent }
}

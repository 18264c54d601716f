import Interleave
import Testing

/// The outcomes that a litmus test can have under a model.
func outcomes(
  _ model: MemoryModel, _ body: (Setup, Outcome) -> Void
) -> Set<[UInt64]> {
  let found = Found()
  let report = Explorer.explore(.init(model: model)) { setup in
    let outcome = Outcome()
    body(setup, outcome)
    setup.finally { found.outcomes.insert(outcome.values) }
  }
  #expect(report.isProved, "\(report)")
  return found.outcomes
}

final class Found { var outcomes: Set<[UInt64]> = [] }

final class Outcome {
  var values: [UInt64] = []
  func at(_ index: Int, _ value: UInt64) {
    while values.count <= index { values.append(.max) }
    values[index] = value
  }
}

@Suite("Litmus tests")
struct LitmusTests {
  static func storeBuffering(_ setup: Setup, _ out: Outcome, _ order: Ordering, _ loads: Ordering) {
    let (x, y) = (Word(), Word())
    setup.thread("one") {
      x.word.store(1, order)
      out.at(0, y.word.load(loads))
    }
    setup.thread("two") {
      y.word.store(1, order)
      out.at(1, x.word.load(loads))
    }
  }

  @Test("SB: both loads may miss under TSO and C11, never under SC")
  func sb() {
    let all: Set<[UInt64]> = [[0, 0], [0, 1], [1, 0], [1, 1]]
    let strong: Set<[UInt64]> = [[0, 1], [1, 0], [1, 1]]
    for (model, order, loads, expected) in [
      (MemoryModel.sequentiallyConsistent, Ordering.relaxed, Ordering.relaxed, strong),
      (.totalStoreOrder, .releasing, .acquiring, all), (.c11, .releasing, .acquiring, all),
      (.totalStoreOrder, .sequentiallyConsistent, .sequentiallyConsistent, strong),
      (.c11, .sequentiallyConsistent, .sequentiallyConsistent, strong),
    ] {
      #expect(outcomes(model) { Self.storeBuffering($0, $1, order, loads) } == expected)
    }
  }
}

final class Word {
  let word = ModelWord(0)
}

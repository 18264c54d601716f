import Interleave

/// Makes programs that are the same in every run.
struct ProgramGenerator {
  /// What programs are made of.
  enum Vocabulary {
    case atomics
    case atomicsAndPlainData
    case everything
  }

  private var state: UInt64
  /// Whether stores may have the same value. Otherwise each has its own, and an outcome tells who
  /// has read from whom.
  var repeatsValues = false

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next(below bound: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int((state >> 11) % UInt64(bound))
  }

  private mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[next(below: elements.count)]
  }

  /// Two threads of three steps or three of two, or one step more if some are plain accesses.
  mutating func program(of vocabulary: Vocabulary) -> Program {
    let threads = 2 + next(below: 2)
    let steps = (threads == 2 ? 3 : 2) + (vocabulary == .atomicsAndPlainData ? 1 : 0)
    return Program(threads: (0..<threads).map { body($0, steps, of: vocabulary) })
  }

  /// Three threads of the same two steps.
  mutating func symmetricProgram() -> Program {
    Program(threads: Array(repeating: body(0, 2, of: .everything), count: 3))
  }

  private mutating func body(
    _ thread: Int, _ steps: Int, of vocabulary: Vocabulary
  ) -> [Program.Step] {
    (0..<steps).map {
      step(UInt64(repeatsValues ? 1 + next(below: 2) : thread * steps + $0 + 1), of: vocabulary)
    }
  }

  private mutating func step(_ value: UInt64, of vocabulary: Vocabulary) -> Program.Step {
    let word = next(below: 2)
    let atomics = 8
    let kinds =
      switch vocabulary {
      case .atomics: atomics
      case .atomicsAndPlainData: 11
      case .everything: 14
      }
    let kind = next(below: kinds)
    switch kind {
    case 0...2: return .load(word, loadOrdering())
    case 3...5: return .store(word, value, pick([.relaxed, .releasing, .sequentiallyConsistent]))
    case 6: return .exchange(word, value, anyOrdering())
    case 7: return .compareExchange(word, UInt64(next(below: 3)), value, anyOrdering())
    default:
      if vocabulary == .atomicsAndPlainData { return pick([.readIf, .writeIf]) }
      return waitOrCount(kind - atomics, word, value)
    }
  }

  private mutating func waitOrCount(_ kind: Int, _ word: Int, _ value: UInt64) -> Program.Step {
    switch kind {
    case 0, 1: .count(word)
    case 2: .underLock(value)
    case 3: pick([.unpark, .unpark, .park])
    case 4: .await(word, loadOrdering())
    default: .heap
    }
  }

  private mutating func loadOrdering() -> Ordering {
    pick([.relaxed, .acquiring, .sequentiallyConsistent])
  }

  private mutating func anyOrdering() -> Ordering {
    pick([.relaxed, .acquiring, .releasing, .acquiringAndReleasing, .sequentiallyConsistent])
  }
}

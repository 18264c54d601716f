import Interleave

/// A small program on words that all begin as 0, for the explorer and for the reference models.
struct Program: CustomStringConvertible {
  enum Step {
    case load(Int, Ordering)
    case store(Int, UInt64, Ordering)
    case exchange(Int, UInt64, Ordering)
    case compareExchange(Int, UInt64, UInt64, Ordering)
    /// Counts up a monitor, and observes it.
    case count(Int)
    /// Reads and writes plain data under a lock.
    case underLock(UInt64)
    case unpark
    case park
    /// Waits until the word is not 0.
    case await(Int, Ordering)
    /// Allocates a block and frees it.
    case heap
  }

  var threads: [[Step]]

  static let words = 2

  var description: String {
    threads.map { $0.map { "\($0)" }.joined(separator: "; ") }.joined(separator: " ∥ ")
  }

  /// All that a run of it leaves behind, thread by thread and step by step, then the words; nil
  /// stands for a deadlock.
  typealias Outcomes = Set<[UInt64]>

  /// What the explorer finds.
  ///
  /// - Parameter symmetry: the number of the symmetry class of the threads.
  func explored(
    _ model: MemoryModel, merges: Bool = true, prunes: Bool = true, symmetry: Int = 0
  ) -> (outcomes: Outcomes, report: Report) {
    var options = Explorer.Options(model: model)
    options.mergesStates = merges
    options.prunesIndependent = prunes
    let found = Found()
    let report = Explorer.explore(options) { setup in
      let world = World(setup)
      for (index, steps) in threads.enumerated() {
        world.observed.append([])
        setup.thread("thread \(index)", symmetry: symmetry) {
          for step in steps { world.perform(step, by: index) }
        }
      }
      setup.finally {
        found.outcomes.insert(
          world.observed.flatMap { $0 } + world.words.map { $0.word.load(.relaxed) })
      }
    }
    return (found.outcomes, report)
  }
}

private final class World {
  let setup: Setup
  let words = (0..<Program.words).map { _ in Word() }
  let monitors = [Monitor(0), Monitor(0)]
  let mutex = ModelMutex()
  let parker = ModelParker()
  let data = Cell<UInt64>(0)
  let heap = Heap()
  var observed: [[UInt64]] = []

  init(_ setup: Setup) { self.setup = setup }

  func perform(_ step: Program.Step, by thread: Int) {
    switch step {
    case .load(let word, let ordering):
      observed[thread].append(words[word].word.load(ordering))
    case .store(let word, let value, let ordering):
      words[word].word.store(value, ordering)
    case .exchange(let word, let value, let ordering):
      observed[thread].append(words[word].word.exchange(value, ordering))
    case .compareExchange(let word, let expected, let desired, let ordering):
      let result = words[word].word.compareExchange(
        expected: expected, desired: desired, ordering)
      observed[thread].append(result.original)
    case .count(let monitor):
      observed[thread].append(
        monitors[monitor].update { state in
          state += 1
          return UInt64(state)
        })
    case .underLock(let value):
      mutex.withLock {
        observed[thread].append(data.value)
        data.value = value
      }
    case .unpark: parker.unpark()
    case .park: parker.park()
    case .await(let word, let ordering):
      var value = words[word].word.load(ordering)
      while value == 0 {
        setup.spin()
        value = words[word].word.load(ordering)
      }
      observed[thread].append(value)
    case .heap:
      let block = heap.allocate()
      observed[thread].append(UInt64(block))
      heap.free(block)
    }
  }
}

/// Makes programs that are the same in every run.
struct ProgramGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next(below bound: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int((state >> 11) % UInt64(bound))
  }

  mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[next(below: elements.count)]
  }

  /// Two threads of three steps or three of two.
  mutating func program(atomicsOnly: Bool) -> Program {
    let threads = 2 + next(below: 2)
    let steps = threads == 2 ? 3 : 2
    // Every store has a value of its own, so that an outcome tells who read from whom.
    var value: UInt64 = 0
    return Program(
      threads: (0..<threads).map { _ in
        (0..<steps).map { _ in
          value += 1
          return step(value, atomicsOnly: atomicsOnly)
        }
      })
  }

  private mutating func step(_ value: UInt64, atomicsOnly: Bool) -> Program.Step {
    let word = next(below: Program.words)
    switch next(below: atomicsOnly ? 8 : 14) {
    case 0...2: return .load(word, pick([.relaxed, .acquiring, .sequentiallyConsistent]))
    case 3...5: return .store(word, value, pick([.relaxed, .releasing, .sequentiallyConsistent]))
    case 6: return .exchange(word, value, anyOrdering())
    case 7: return .compareExchange(word, UInt64(next(below: 3)), value, anyOrdering())
    case 8, 9: return .count(next(below: 2))
    case 10: return .underLock(value)
    case 11: return pick([.unpark, .unpark, .park])
    case 12: return .await(word, pick([.relaxed, .acquiring, .sequentiallyConsistent]))
    default: return .heap
    }
  }

  private mutating func anyOrdering() -> Ordering {
    pick([.relaxed, .acquiring, .releasing, .acquiringAndReleasing, .sequentiallyConsistent])
  }
}

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
    /// Waits until the word is not 0; observes how often it looked, too.
    case await(Int, Ordering)
    /// Allocates a block and frees it.
    case heap
    /// Plain data, not under any lock, unless the last value that the thread has read was 0.
    case readIf
    case writeIf
  }

  var threads: [[Step]]
  var words = 2

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
    _ model: MemoryModel, merges: Bool = true, prunes: Bool = true, symmetry: Int = 0,
    preemptions: Int? = nil, executions: Int = 0
  ) -> (outcomes: Outcomes, report: Report) {
    var options = Explorer.Options(model: model)
    options.mergesStates = merges
    options.prunesIndependent = prunes
    options.preemptions = preemptions
    options.executionLimit = executions
    let found = Found()
    let report = Explorer.explore(options) { setup in
      let world = World(setup, words: words)
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
  let words: [Word]
  let monitors = [Monitor(0), Monitor(0)]
  let mutex = ModelMutex()
  let parker = ModelParker()
  let data = Cell<UInt64>(0, named: "what the lock guards")
  let plain = Cell<UInt64>(0)
  let heap = Heap()
  var observed: [[UInt64]] = []

  init(_ setup: Setup, words: Int) {
    self.setup = setup
    self.words = (0..<words).map { _ in Word() }
  }

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
      var looks: UInt64 = 1
      while value == 0 {
        setup.spin()
        value = words[word].word.load(ordering)
        looks += 1
      }
      observed[thread] += [value, looks]
    case .heap:
      let block = heap.allocate()
      observed[thread].append(UInt64(block))
      heap.free(block)
    case .readIf: if observed[thread].last != 0 { _ = plain.value }
    case .writeIf: if observed[thread].last != 0 { plain.value = 1 }
    }
  }
}

final class Found { var outcomes: Program.Outcomes = [] }

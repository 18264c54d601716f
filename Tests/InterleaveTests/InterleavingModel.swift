import Interleave

/// Sequential consistency and total store order as interpreters that try every order, without
/// fibers, merging or pruning.
struct InterleavingModel {
  private struct State: Hashable {
    var next: [Int]
    var words: [UInt64]
    var buffers: [[[UInt64]]]
    var observed: [[UInt64]]
  }

  private let program: Program
  private let buffersStores: Bool
  private var found: Program.Outcomes = []
  private var visited: Set<State> = []

  static func outcomes(_ program: Program, _ model: MemoryModel) -> Program.Outcomes {
    var reference = InterleavingModel(
      program: program, buffersStores: model == .totalStoreOrder)
    let threads = program.threads.count
    reference.explore(
      State(
        next: Array(repeating: 0, count: threads),
        words: Array(repeating: 0, count: program.words),
        buffers: Array(repeating: [], count: threads),
        observed: Array(repeating: [], count: threads)))
    return reference.found
  }

  private init(program: Program, buffersStores: Bool) {
    self.program = program
    self.buffersStores = buffersStores
  }

  private mutating func explore(_ state: State) {
    guard visited.insert(state).inserted else { return }
    var isDone = true
    for thread in program.threads.indices {
      if !state.buffers[thread].isEmpty {
        isDone = false
        var flushed = state
        let oldest = flushed.buffers[thread].removeFirst()
        flushed.words[Int(oldest[0])] = oldest[1]
        explore(flushed)
      }
      guard state.next[thread] < program.threads[thread].count else { continue }
      isDone = false
      if let stepped = step(state, thread) { explore(stepped) }
    }
    if isDone { found.insert(state.observed.flatMap { $0 } + state.words) }
  }

  /// - Returns: nil if the thread's buffer has to be empty and is not.
  private func step(_ old: State, _ thread: Int) -> State? {
    var state = old
    let step = program.threads[thread][state.next[thread]]
    state.next[thread] += 1
    switch step {
    case .load(let word, _):
      let own = state.buffers[thread].last { $0[0] == UInt64(word) }
      state.observed[thread].append(own?[1] ?? state.words[word])
      return state
    case .store(let word, let value, let ordering)
    where buffersStores && ordering != .sequentiallyConsistent:
      state.buffers[thread].append([UInt64(word), value])
      return state
    case .store(let word, let value, _): state.words[word] = value
    case .exchange(let word, let value, _):
      state.observed[thread].append(state.words[word])
      state.words[word] = value
    case .compareExchange(let word, let expected, let desired, _):
      state.observed[thread].append(state.words[word])
      if state.words[word] == expected { state.words[word] = desired }
    default: fatalError("the models are about atomic operations")
    }
    return state.buffers[thread].isEmpty ? state : nil
  }
}

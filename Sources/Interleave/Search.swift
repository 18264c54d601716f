/// A depth-first search over every choice of an execution: which thread goes next, and, where the
/// memory model leaves that open, which store a load reads and where a store comes.
///
/// An execution cannot be copied, so the search repeats it: it replays the choices up to the last one that has an
/// alternative and takes that. Three things cut it short, none of which loses a state:
///
/// - A state that was met before is not explored again. A state is the shared memory and, for
///   each thread, all that it has observed: a thread is deterministic in what it reads, so nothing on
///   its stack has to be looked at.
/// - Sleep sets (Godefroid, 1996): after a thread's step has been explored, it is not taken next to a
///   step of another thread that it does not conflict with, since the other order leads to the same state.
///   With merging, a state remembers the sleep set that it was explored with, and what was asleep
///   then and is awake now is explored when it is met again.
/// - Threads of one symmetry class take their first step in their order.
struct Search {
  /// One choice that has been made, and its alternatives.
  private struct Frame {
    var isValue: Bool
    /// For a value: which, of how many. For an action: which.
    var choice: UInt16
    var count: UInt16 = 0
    /// For an action: what may be taken here, what has been, and what need not be.
    var candidates: UInt16 = 0
    var explored: UInt16 = 0
    var sleep: UInt16 = 0
    /// What the choice was between: must be the same when it is replayed.
    var signature: UInt32
    var preemptions: UInt16 = 0
  }

  private var frames: [Frame] = []
  private var depth = 0
  private var sleep: UInt16 = 0
  private var preemptions: UInt16 = 0
  private var visited: [Digest: UInt16] = [:]
  /// The execution's end is known: it runs on, unexplored, so that its fibers return.
  private(set) var isRunningOut = false

  let preemptionBound: Int?
  let merges: Bool
  let prunes: Bool
  let stateLimit: Int
  private(set) var steps = 0
  private(set) var merged = 0
  private(set) var hitStateLimit = false
  private(set) var isNondeterministic = false

  init(options: Explorer.Options) {
    preemptionBound = options.preemptions
    merges = options.mergesStates
    prunes = options.prunesIndependent
    stateLimit = options.stateLimit
  }

  var states: Int { visited.count }

  /// The choices of the execution that ran last, as far as they were explored.
  var choices: [Int] { frames.map { Int($0.choice) } }

  /// Follows these choices in the next execution, then the first of each.
  mutating func follow(_ choices: [Int]) {
    replayed = choices
    frames = []
  }

  private var replayed: [Int] = []

  mutating func beginExecution() {
    depth = 0
    sleep = 0
    preemptions = 0
    isRunningOut = false
  }

  mutating func cut() { isRunningOut = true }

  /// Moves on to the next execution.
  ///
  /// - Returns: false if there is none left.
  mutating func backtrack() -> Bool {
    while let top = frames.indices.last {
      if frames[top].isValue {
        if frames[top].choice + 1 < frames[top].count {
          frames[top].choice += 1
          return true
        }
      } else {
        frames[top].explored |= 1 << frames[top].choice
        let left = frames[top].candidates & ~frames[top].explored
        if left != 0 {
          frames[top].choice = UInt16(left.trailingZeroBitCount)
          return true
        }
      }
      frames.removeLast()
    }
    return false
  }

  // MARK: Choices

  /// Which of `count` values comes about.
  @inline(__always)
  mutating func chooseValue(_ count: Int, _ signature: UInt32) -> Int {
    if count <= 1 || isRunningOut { return 0 }
    defer { depth += 1 }
    if depth < frames.count {
      check(frames[depth], signature, isValue: true)
      return min(Int(frames[depth].choice), count - 1)
    }
    let choice = depth < replayed.count ? min(replayed[depth], count - 1) : 0
    frames.append(
      Frame(isValue: true, choice: UInt16(choice), count: UInt16(count), signature: signature))
    return choice
  }

  /// Which of the enabled actions is taken next.
  ///
  /// - Parameters:
  ///   - enabled: bits 0 to 7 are steps of threads, 8 to 15 flushes of their store buffers.
  ///   - allowed: those of them that symmetry leaves.
  ///   - current: the action taken last.
  ///   - execution: tells what the actions are, and the state's digest.
  mutating func chooseAction(
    enabled: UInt16, allowed: UInt16, current: Int, _ execution: Execution
  ) -> Int {
    steps += 1
    if isRunningOut { return fallback(enabled, current) }
    let signature = execution.signature(of: enabled)
    if depth == frames.count {
      guard push(enabled, allowed, current, signature, execution) else {
        isRunningOut = true
        return fallback(enabled, current)
      }
    } else {
      check(frames[depth], signature, isValue: false)
    }
    let frame = frames[depth]
    let choice = Int(frame.choice)
    depth += 1
    sleep = 0
    if prunes {
      var others = (frame.sleep | frame.explored) & ~(1 << frame.choice)
      while others != 0 {
        let other = others.trailingZeroBitCount
        others &= others - 1
        if !execution.conflict(other, choice) { sleep |= 1 << UInt16(other) }
      }
    }
    preemptions = frame.preemptions
    if choice != current && current >= 0 && enabled & 1 << UInt16(current) != 0 { preemptions += 1 }
    return choice
  }

  private mutating func push(
    _ enabled: UInt16, _ allowed: UInt16, _ current: Int, _ signature: UInt32,
    _ execution: Execution
  ) -> Bool {
    var candidates = allowed & ~sleep
    var sleepHere = sleep
    if let preemptionBound, preemptions >= preemptionBound, current >= 0,
      enabled & 1 << UInt16(current) != 0
    {
      candidates &= 1 << UInt16(current)
    }
    if merges {
      var digest = execution.digest()
      if preemptionBound != nil { digest.mix(UInt64(preemptions) << 8 | UInt64(current & 0xFF)) }
      if let earlier = visited[digest] {
        let awakened = earlier & ~sleep
        guard awakened != 0 else {
          merged += 1
          return false
        }
        candidates &= awakened
        sleepHere = sleep & earlier
        visited[digest] = sleepHere
      } else {
        if visited.count >= stateLimit {
          hitStateLimit = true
          return false
        }
        visited[digest] = sleep
      }
    }
    guard candidates != 0 else { return false }
    var choice = candidates.trailingZeroBitCount
    if current >= 0 && candidates & 1 << UInt16(current) != 0 { choice = current }
    if depth < replayed.count { choice = replayed[depth] }
    frames.append(
      Frame(
        isValue: false, choice: UInt16(choice), candidates: candidates, sleep: sleepHere,
        signature: signature, preemptions: preemptions))
    return true
  }

  private func fallback(_ enabled: UInt16, _ current: Int) -> Int {
    current >= 0 && enabled & 1 << UInt16(current) != 0 ? current : enabled.trailingZeroBitCount
  }

  private mutating func check(_ frame: Frame, _ signature: UInt32, isValue: Bool) {
    if frame.signature != signature || frame.isValue != isValue { isNondeterministic = true }
  }
}

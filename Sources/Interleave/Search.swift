/// A depth-first search over every choice of an execution: which thread goes next, and, where the
/// memory model leaves that open, which store a load reads and where a store comes.
///
/// An execution cannot be copied, so the search repeats it: it replays the choices up to the last
/// one that has an alternative and takes that. Three things cut it short, none of which loses a
/// state:
///
/// - A state that was met before is not explored again. A state is the shared memory and, for each
///   thread, all that it has observed: a thread is deterministic in what it reads, so nothing on
///   its stack has to be looked at.
/// - Sleep sets (Godefroid, 1996): after a thread's step has been explored, it is not taken next to
///   a step of another thread that it does not conflict with, since the other order leads to the
///   same state. A step stands for all the values that it may choose: those that two such steps may
///   choose together do not depend on their order.
/// - Threads of one symmetry class take their first step in their order.
///
/// The first two go together: a state that was met before needs no second look, even if more is
/// awake now. What slept there was explored before, at a state above it, and the path from that one
/// leads in the other order to the states that were left out. And what was explored before has
/// been explored to its end, since states form no cycle: histories grow with every step. Where
/// threads forget, a cycle would be an execution without end, which is reported.
///
/// A bound on preemptions and sleep sets do not go together, since the order that is left out may
/// be the one with fewer preemptions: with a bound there are no sleep sets.
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
    /// For an action: the state, if states are merged.
    var digest = Digest()
  }

  private enum Phase {
    case exploring
    /// Follows given choices, then the first of each.
    case following([Int])
    /// The rest of the execution is known, or too much: it runs on so that its fibers return.
    case runningOut
    /// It has gone wrong; its choices from here on are of no interest.
    case ended
  }

  private var phase = Phase.exploring
  private var frames: [Frame] = []
  private var depth = 0
  private var sleep: UInt16 = 0
  /// The choices that the frames do not have.
  private var tail: [Int] = []
  private(set) var preemptions = 0
  private var visited = VisitedStates()

  private let preemptionBound: Int
  let merges: Bool
  private let prunes: Bool
  private let stateLimit: Int
  private(set) var steps = 0
  private(set) var merged = 0
  private(set) var hitStateLimit = false
  /// An execution came back to a state that it had been in.
  private(set) var hasCycle = false
  /// A replay met another state than the one whose choices it repeats.
  private(set) var hasDiverged = false

  init(options: Explorer.Options) {
    preemptionBound = options.preemptions ?? .max
    merges = options.mergesStates
    prunes = options.prunesIndependent && options.preemptions == nil
    stateLimit = options.stateLimit
  }

  func deallocate() { visited.deallocate() }

  var states: Int { visited.count }

  /// The choices of the execution that ran last, until it ended or went wrong.
  var choices: [Int] { frames[..<min(depth, frames.count)].map { Int($0.choice) } + tail }

  mutating func beginExecution() {
    depth = 0
    sleep = 0
    preemptions = 0
    if !tail.isEmpty { tail.removeAll(keepingCapacity: true) }
    if case .following = phase { return }
    phase = .exploring
  }

  /// Makes the next executions follow these choices.
  mutating func follow(_ choices: [Int]) {
    frames = []
    phase = .following(choices)
  }

  /// How many choices have been made, and how many of the last execution there are to repeat.
  var progress: (made: Int, known: Int) { (depth, frames.count) }

  /// Whether the execution that ran last ended before the choices that it followed.
  var hasChoicesLeft: Bool {
    if case .following(let choices) = phase { tail.count < choices.count } else { false }
  }

  /// The rest of the execution is of no interest.
  mutating func runOut() { if case .exploring = phase { phase = .runningOut } }

  /// The execution has gone wrong.
  mutating func end() { phase = .ended }

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

  // MARK: Choosing a value

  /// Which of `count` values comes about.
  ///
  /// - Parameter salt: tells choices apart, to find scenarios that are not deterministic.
  @inline(__always)
  mutating func chooseValue(_ count: Int, _ salt: UInt32) -> Int {
    count <= 1 ? 0 : chooseAmong(count, salt)
  }

  private mutating func chooseAmong(_ count: Int, _ salt: UInt32) -> Int {
    switch phase {
    case .exploring:
      if depth == frames.count {
        frames.append(Frame(isValue: true, choice: 0, count: UInt16(count), signature: salt))
      } else if !frames[depth].isValue || frames[depth].count != count
        || frames[depth].signature != salt
      {
        hasDiverged = true
        phase = .ended
        return 0
      }
      depth += 1
      return Int(frames[depth - 1].choice)
    case .following(let choices):
      let choice = tail.count < choices.count ? choices[tail.count] : 0
      guard 0..<count ~= choice else {
        hasDiverged = true
        phase = .ended
        return 0
      }
      return noteTail(choice)
    case .runningOut: return noteTail(0)
    case .ended: return 0
    }
  }

  private mutating func noteTail(_ choice: Int) -> Int {
    tail.append(choice)
    return choice
  }

  // MARK: Choosing an action

  /// Which of the enabled actions is taken next.
  ///
  /// - Parameters:
  ///   - enabled: bits 0 to 7 are steps of threads, 8 to 15 flushes of their store buffers.
  ///   - interrupted: the thread whose step was the last, if it is enabled; another thread's step
  ///     would be a preemption.
  ///   - execution: tells what the actions are, and the state's digest.
  mutating func chooseAction(
    enabled: UInt16, interrupted: UInt16, _ execution: Execution
  ) -> Int {
    steps += 1
    let first = interrupted != 0 ? interrupted : enabled
    var choice = first.trailingZeroBitCount
    switch phase {
    case .exploring:
      guard enterFrame(enabled, interrupted, execution) else {
        runOut()
        return noteTail(choice)
      }
      choice = Int(frames[depth].choice)
      // Where a later frame exists, it knows what was asleep; one of a value may lie between.
      if prunes && depth + 2 >= frames.count { fallAsleep(frames[depth], execution) }
      depth += 1
    case .following(let choices):
      if tail.count < choices.count { choice = choices[tail.count] }
      guard 0..<16 ~= choice, enabled & 1 << UInt16(choice) != 0 else {
        hasDiverged = true
        phase = .ended
        return first.trailingZeroBitCount
      }
      tail.append(choice)
    case .runningOut: tail.append(choice)
    case .ended: return choice
    }
    if choice < 8 && interrupted != 0 && interrupted != 1 << UInt16(choice) { preemptions += 1 }
    return choice
  }

  /// What is asleep after the frame's choice: what need not be explored before it, and does not
  /// conflict with it.
  private mutating func fallAsleep(_ frame: Frame, _ execution: Execution) {
    sleep = 0
    var others = (frame.sleep | frame.explored) & ~(1 &<< frame.choice)
    while others != 0 {
      let other = others.trailingZeroBitCount
      others &= others &- 1
      if !execution.conflict(other, Int(frame.choice)) { sleep |= 1 &<< UInt16(other) }
    }
  }

  /// Makes `frames[depth]` the frame of this choice: the one that is there, or a new one.
  ///
  /// - Returns: false if nothing is to be explored from here.
  private mutating func enterFrame(
    _ enabled: UInt16, _ interrupted: UInt16, _ execution: Execution
  ) -> Bool {
    let signature = execution.signature(of: enabled)
    if depth < frames.count {
      guard !frames[depth].isValue && frames[depth].signature == signature else {
        hasDiverged = true
        phase = .ended
        return false
      }
      return true
    }
    var digest = Digest()
    if merges {
      digest = execution.digest()
      if preemptionBound != .max {
        digest.mix(UInt64(preemptions) << 16 | UInt64(interrupted))
      }
      guard !visited.contains(digest) else {
        merged += 1
        if frames.contains(where: { $0.digest == digest }) { hasCycle = true }
        return false
      }
      guard visited.count < stateLimit else {
        hitStateLimit = true
        return false
      }
      visited.insert(digest)
    }
    var candidates = enabled & ~sleep
    if preemptions >= preemptionBound && interrupted != 0 { candidates &= interrupted | 0xFF00 }
    guard candidates != 0 else { return false }
    let preferred = candidates & interrupted != 0 ? interrupted : candidates
    frames.append(
      Frame(
        isValue: false, choice: UInt16(preferred.trailingZeroBitCount), candidates: candidates,
        sleep: sleep, signature: signature, digest: digest))
    return true
  }
}

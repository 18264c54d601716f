import CFibers

/// One run of a scenario at a time: its threads as fibers, its memory, and the choices of the search.
///
/// Everything runs on the thread that explores. A fiber runs until its next operation, decides there, on its own
/// stack, who goes on, and switches only if that is somebody else.
final class Execution {
  /// The thread that sets the scenario up and checks it at the end.
  static let outside = 7
  static let maximumThreads = 7

  let model: MemoryModel
  var search: Search
  let stepLimit: Int
  var memory: Memory
  let threads: UnsafeMutablePointer<ModelThread>
  private(set) var threadCount = 0
  private var bodies: [() -> Void] = []
  private(set) var names: [String] = []
  private var main = fdf_fiber()
  private(set) var current = Execution.outside
  private var lastAction = -1
  private var stepsHere = 0
  /// Rises with every store, for spinning threads.
  var storeCount: UInt64 = 0
  private(set) var failure: String?
  /// What happened, step by step; only while a violation is told.
  var trace: Trace?

  init(model: MemoryModel, options: Explorer.Options) {
    self.model = model
    search = Search(options: options)
    stepLimit = options.stepLimit
    memory = Memory()
    threads = .allocate(capacity: Clock.threads)
    for index in 0..<Clock.threads {
      threads.advanced(by: index).initialize(to: ModelThread())
      if index < Self.maximumThreads {
        guard fdf_allocate(&threads[index].fiber, 256 << 10) else {
          fatalError("no memory for the stack of a fiber")
        }
      }
    }
  }

  deinit {
    for index in 0..<Clock.threads { fdf_free(&threads[index].fiber) }
    threads.deinitialize(count: Clock.threads).deallocate()
    memory.deallocate()
  }

  static var ofThisThread: Execution {
    guard let address = fdf_current_execution() else {
      fatalError("model types exist only inside a scenario that is being explored")
    }
    return Unmanaged<Execution>.fromOpaque(address).takeUnretainedValue()
  }

  // MARK: One run

  /// Runs the scenario once, by the search's choices.
  ///
  /// - Returns: what went wrong, or nil.
  func run(_ body: (Setup) -> Void) -> String? {
    reset()
    let setup = Setup(execution: self)
    body(setup)
    begin(setup)
    // Every thread runs to its first operation: nothing that others see can happen before it.
    for index in 0..<threadCount {
      current = index
      fdf_switch(&main, &threads[index].fiber)
    }
    current = Self.outside
    resumeNext(from: Self.outside)
    finish(setup)
    return failure
  }

  private func reset() {
    search.beginExecution()
    memory.reset()
    threadCount = 0
    bodies.removeAll(keepingCapacity: true)
    names.removeAll(keepingCapacity: true)
    current = Self.outside
    lastAction = -1
    stepsHere = 0
    storeCount = 0
    failure = nil
    threads[Self.outside].reset()
    threads[Self.outside].clock.counts[Self.outside] = 1
  }

  private func begin(_ setup: Setup) {
    threadCount = setup.threads.count
    let before = threads[Self.outside].clock
    let view = memory.latestView()
    for index in 0..<threadCount {
      bodies.append(setup.threads[index].body)
      names.append(setup.threads[index].name)
      threads[index].reset()
      threads[index].status = .ready
      threads[index].symmetry = setup.threads[index].symmetry
      threads[index].clock = before
      threads[index].clock.counts[index] = 1
      threads[index].view = view
      fdf_reset(
        &threads[index].fiber,
        { context in
          Unmanaged<Execution>.fromOpaque(context.unsafelyUnwrapped)
            ._withUnsafeGuaranteedRef { $0.runBody() }
        }, Unmanaged.passUnretained(self).toOpaque())
    }
  }

  /// A fiber's life. It never returns: the next run resets it.
  private func runBody() {
    let index = current
    bodies[index]()
    threads[index].status = .finished
    if threads[index].hasStepped {
      resumeNext(from: index)
    } else {
      fdf_switch(&threads[index].fiber, &main)
    }
  }

  private func finish(_ setup: Setup) {
    if failure == nil && !allAreDone { fail(deadlockStory()) }
    if failure == nil {
      for index in 0..<threadCount { threads[Self.outside].clock.join(threads[index].clock) }
      threads[Self.outside].view = memory.latestView()
      for check in setup.checks where failure == nil { check() }
      if failure == nil, let leak = memory.leak() { fail(leak) }
    }
    for index in 0..<threadCount where threads[index].status != .finished {
      // The fiber is stuck in the midst of its body. Its stack is left alone for good, with all that it
      // refers to; the exploration ends here.
      guard fdf_allocate(&threads[index].fiber, 256 << 10) else {
        fatalError("no memory for the stack of a fiber")
      }
    }
    bodies.removeAll(keepingCapacity: true)
  }

  private var allAreDone: Bool {
    (0..<threadCount).allSatisfy {
      threads[$0].status == .finished && threads[$0].buffer.isEmpty
    }
  }

  // MARK: Scheduling

  /// Announces what the running thread does next; returns when it is its turn.
  @inline(__always)
  func step(_ operation: Operation) {
    guard current != Self.outside else { return }
    threads[current].pending = operation
    if threads[current].hasStepped {
      resumeNext(from: current)
    } else {
      threads[current].hasStepped = true
      fdf_switch(&threads[current].fiber, &main)
    }
  }

  private func resumeNext(from origin: Int) {
    let next = nextThread()
    guard next != origin else { return }
    current = next
    if origin == Self.outside {
      fdf_switch(&main, &threads[next].fiber)
    } else if next == Self.outside {
      fdf_switch(&threads[origin].fiber, &main)
    } else {
      fdf_switch(&threads[origin].fiber, &threads[next].fiber)
    }
  }

  /// - Returns: the thread whose turn it is, or `outside` if none can go on.
  private func nextThread() -> Int {
    while true {
      let enabled = enabledActions()
      guard enabled != 0 else { return Self.outside }
      stepsHere += 1
      if stepsHere > stepLimit && failure == nil {
        fail("no end after \(stepLimit) steps: a loop that makes no progress?")
      }
      if stepsHere > 2 * stepLimit { return Self.outside }
      let action = search.chooseAction(
        enabled: enabled, allowed: enabled & ~symmetricActions(enabled), current: lastAction, self)
      lastAction = action
      if action < 8 {
        threads[action].stepCount += 1
        return action
      }
      flush(action - 8)
    }
  }

  private func enabledActions() -> UInt16 {
    var enabled: UInt16 = 0
    for index in 0..<threadCount {
      if threads[index].status == .ready && canGoOn(index) { enabled |= 1 << UInt16(index) }
      if !threads[index].buffer.isEmpty { enabled |= 1 << UInt16(index + 8) }
    }
    return enabled
  }

  private func canGoOn(_ index: Int) -> Bool {
    let operation = threads[index].pending
    switch operation.kind {
    case .lock: return memory.latest(operation.location).value == 0
    case .park: return memory.latest(operation.location).value != 0
    case .spin:
      return storeCount != threads[index].storesSeen || !hasReadLatest(index)
    case .modify, .compareExchange, .monitor, .tryLock, .unlock, .unpark:
      return threads[index].buffer.isEmpty
    case .store:
      return operation.ordering != .sequentiallyConsistent || threads[index].buffer.isEmpty
    case .load, .begin: return true
    }
  }

  /// A weak load may keep returning an old value, but not for ever: a spinning thread that has not seen the latest stores
  /// may look again, and then sees them.
  private func hasReadLatest(_ index: Int) -> Bool {
    model != .c11 || memory.isLatest(threads[index].view)
  }

  /// Of threads that have the same body and have not begun, the first goes first.
  private func symmetricActions(_ enabled: UInt16) -> UInt16 {
    var barred: UInt16 = 0
    for index in 1..<max(1, threadCount) where threads[index].symmetry != 0 {
      guard threads[index].stepCount == 0 else { continue }
      for earlier in 0..<index
      where threads[earlier].symmetry == threads[index].symmetry && threads[earlier].stepCount == 0 {
        barred |= 1 << UInt16(index)
      }
    }
    return barred & enabled
  }

  // MARK: Failing

  /// Notes what went wrong, the first time. The execution then runs to its end, so that the fibers return.
  func fail(_ message: String) {
    guard failure == nil else { return }
    failure = message
    trace?.note("✗ " + message, by: current)
    search.cut()
  }

  private func deadlockStory() -> String {
    let waiting = (0..<threadCount).filter { threads[$0].status != .finished }.map {
      "\(names[$0]) waits in \(threads[$0].pending.kind)"
        + (threads[$0].pending.location == 255
          ? "" : " of \(memory.name(threads[$0].pending.location))")
    }
    return "deadlock: " + waiting.joined(separator: ", ")
  }

  // MARK: For the search

  /// A short fingerprint of what there is to choose from, to find scenarios that are not deterministic.
  @inline(__always)
  func signature(of enabled: UInt16) -> UInt32 {
    var hash = UInt32(enabled)
    for index in 0..<threadCount {
      let operation = threads[index].pending
      hash = (hash ^ UInt32(operation.kind.rawValue) << 8 ^ UInt32(operation.location)) &* 0x0100_0193
    }
    return hash
  }

  /// Whether the order of two actions makes a difference.
  func conflict(_ a: Int, _ b: Int) -> Bool {
    let (first, second) = (min(a, b), max(a, b))
    if second < 8 { return threads[first].pending.conflicts(with: threads[second].pending) }
    let flushed = threads[second - 8].buffer[0].location
    if first >= 8 { return threads[first - 8].buffer[0].location == flushed }
    let operation = threads[first].pending
    return first == second - 8 || operation.location == flushed || operation.kind == .spin
  }

  /// All that can make a difference from here on.
  func digest() -> Digest {
    var digest = Digest()
    let base = model == .c11 ? memory.oldestNeeded(threads, threadCount) : View()
    for index in 0..<threadCount {
      digest.mix(threads[index].history)
      guard threads[index].status != .finished || !threads[index].buffer.isEmpty else {
        digest.mix(0xF1)
        continue
      }
      digest.mix(threads[index].clock)
      if threads[index].pending.kind == .spin {
        digest.mix(threads[index].storesSeen == storeCount ? 0x51 : 0x52)
      }
      if model == .c11 { digest.mix(memory.relative(threads[index].view, to: base)) }
      for entry in threads[index].buffer { digest.mix(UInt64(entry.location) << 56 ^ entry.value) }
    }
    memory.mix(into: &digest, from: base, wholeHistories: model == .c11)
    return digest
  }
}

/// A thread of a scenario.
struct ModelThread {
  enum Status: UInt8 {
    case absent
    /// It has an operation pending.
    case ready
    case finished
  }

  /// A store that waits in the thread's buffer (total store order).
  struct Buffered {
    var location: UInt8
    var value: UInt64
    var clock: Clock
  }

  var fiber = fdf_fiber()
  var status = Status.absent
  var pending = Operation(kind: .begin)
  var hasStepped = false
  var stepCount = 0
  var symmetry = 0
  var clock = Clock()
  var view = View()
  /// Everything that the thread has observed: with the scenario it determines what it does next.
  var history = Digest()
  var storesSeen: UInt64 = 0
  var buffer: [Buffered] = []

  mutating func reset() {
    status = .absent
    pending = Operation(kind: .begin)
    hasStepped = false
    stepCount = 0
    symmetry = 0
    clock = Clock()
    view = View()
    history = Digest()
    storesSeen = 0
    if !buffer.isEmpty { buffer.removeAll(keepingCapacity: true) }
  }
}

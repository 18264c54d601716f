import CFibers

/// One run of a scenario at a time: its threads as fibers, its memory, and the choices of the
/// search.
///
/// Everything runs on the thread that explores. A fiber runs until its next operation, decides
/// there, on its own stack, who goes on, and switches only if that is somebody else.
final class Execution {
  /// The thread that sets the scenario up and checks it at the end. Its fiber is the stack of the
  /// caller.
  static let outside = 7
  static let maximumThreads = 7

  /// How a run ended.
  enum Outcome {
    case passed
    case failed(String)
    /// It went beyond a limit, so nothing is known.
    case gaveUp(String)
  }

  private static let stackBytes = 256 << 10

  let model: MemoryModel
  private let stepLimit: Int
  private let weakFailures: UInt8
  let threads: UnsafeMutablePointer<ModelThread>

  // Checks of exclusive access are off while an execution runs; `unchecked` saves the calls that
  // find that out, a seventh of the time.
  @exclusivity(unchecked) var search: Search
  @exclusivity(unchecked) var memory = Memory()
  @exclusivity(unchecked) private(set) var threadCount = 0
  @exclusivity(unchecked) private(set) var current = Execution.outside
  /// A monitor is being changed: nobody else may run.
  @exclusivity(unchecked) var isUpdating = false
  /// The thread that took the last step, or `outside`.
  @exclusivity(unchecked) private var last = Execution.outside
  @exclusivity(unchecked) private var stepsHere = 0
  /// Steps after which nothing is of interest.
  private let longest: Int
  @exclusivity(unchecked) private(set) var failure: String?
  /// How many steps the execution took until it went wrong.
  private(set) var stepsToFailure = 0
  @exclusivity(unchecked) private var limit: String?
  /// What happened, step by step; only while a violation is told.
  @exclusivity(unchecked) var trace: Trace?
  private var hasSymmetry = false
  private(set) var setup: Setup?

  init(options: Explorer.Options, longest: Int) {
    self.longest = longest
    model = options.model
    search = Search(options: options)
    weakFailures = UInt8(clamping: min(options.weakFailures, 100))
    stepLimit = min(options.stepLimit, Clock.limit - 1)
    threads = .allocate(capacity: Clock.threads)
    for index in 0..<Clock.threads {
      threads.advanced(by: index).initialize(to: ModelThread())
    }
  }

  deinit {
    for index in 0..<Clock.threads { fdf_free(&threads[index].fiber) }
    threads.deinitialize(count: Clock.threads).deallocate()
    memory.deallocate()
    search.deallocate()
  }

  private func allocateStack(_ index: Int) {
    guard fdf_allocate(&threads[index].fiber, Self.stackBytes) else {
      fatalError("no memory for the stack of a fiber")
    }
  }

  static var ofThisThread: Execution {
    guard let address = fdf_current_execution() else {
      fatalError("model types exist only inside a scenario that is being explored")
    }
    return Unmanaged<Execution>.fromOpaque(address).takeUnretainedValue()
  }

  // MARK: One run

  /// Runs the scenario once, by the search's choices.
  func run(_ setup: Setup, _ scenario: (Setup) -> Void) -> Outcome {
    self.setup = setup
    reset()
    scenario(setup)
    begin(setup)
    // Every thread runs to its first operation: nothing that others see can happen before it.
    for index in 0..<threadCount {
      current = index
      fdf_switch(&threads[Self.outside].fiber, &threads[index].fiber)
    }
    current = Self.outside
    resumeNext(from: Self.outside)
    trace?.isAtEnd = true
    check(setup)
    abandonStuckFibers()
    setup.reset()
    self.setup = nil
    if let failure { return .failed(failure) }
    return limit.map { .gaveUp($0) } ?? .passed
  }

  private func reset() {
    search.beginExecution()
    memory.reset()
    threadCount = 0
    last = Self.outside
    stepsHere = 0
    failure = nil
    limit = nil
    threads[Self.outside].reset()
    threads[Self.outside].clock[Self.outside] = 1
  }

  private func begin(_ setup: Setup) {
    threadCount = setup.threads.count
    hasSymmetry = false
    let clock = threads[Self.outside].clock
    let view = model == .c11 ? memory.latestView() : View()
    let context = Unmanaged.passUnretained(self).toOpaque()
    for index in 0..<threadCount {
      let thread = threads.advanced(by: index)
      if thread.pointee.fiber.memory == nil { allocateStack(index) }
      thread.pointee.reset()
      thread.pointee.status = .ready
      thread.pointee.weakFailures = weakFailures
      thread.pointee.symmetry = setup.threads[index].symmetry
      if thread.pointee.symmetry != 0 { hasSymmetry = true }
      thread.pointee.clock = clock
      thread.pointee.clock[index] = 1
      thread.pointee.view = view
      fdf_reset(
        &thread.pointee.fiber,
        { context in
          Unmanaged<Execution>.fromOpaque(context.unsafelyUnwrapped)
            ._withUnsafeGuaranteedRef { $0.runBody() }
        }, context)
    }
  }

  /// A fiber's life. It never returns: the next run resets it.
  private func runBody() {
    let index = current
    setup.unsafelyUnwrapped.threads[index].body()
    threads[index].status = .finished
    if threads[index].hasAnnounced {
      resumeNext(from: index)
    } else {
      fdf_switch(&threads[index].fiber, &threads[Self.outside].fiber)
    }
  }

  private func check(_ setup: Setup) {
    guard failure == nil && limit == nil else { return }
    if let deadlock = deadlock() { return fail(deadlock) }
    let outside = threads.advanced(by: Self.outside)
    for index in 0..<threadCount { outside.pointee.clock.join(threads[index].clock) }
    if model == .c11 { outside.pointee.view = memory.latestView() }
    for check in setup.checks where failure == nil { check() }
    let leaked = memory.blocks.indices.filter { memory.blocks[$0].isLive }
    if !leaked.isEmpty && failure == nil {
      fail("leak: block \(leaked.map(String.init).joined(separator: ", ")) was never freed")
    }
  }

  /// A fiber that is stuck in the midst of its body keeps its stack for good, with all that it
  /// refers to. That ends the exploration, so it happens once.
  private func abandonStuckFibers() {
    for index in 0..<threadCount where threads[index].status != .finished { allocateStack(index) }
  }

  private func deadlock() -> String? {
    let stuck = (0..<threadCount).filter { threads[$0].status != .finished }
    guard !stuck.isEmpty else { return nil }
    return "deadlock: "
      + stuck.map { "\(name(of: $0)) \(describeWait($0))" }.joined(separator: "; ")
  }

  private func describeWait(_ index: Int) -> String {
    let operation = threads[index].pending
    let name = memory.name(operation.location)
    switch operation.kind {
    case .lock:
      let holder = Int(memory.latest(operation.location).pointee.value) - 1
      return "waits to lock \(name), held by \(self.name(of: holder))"
    case .park: return "is parked on \(name)"
    default:
      let watched = (0..<UInt8(View.locations)).filter { threads[index].watches($0) }
      return "waits for a change of " + watched.map(memory.name).joined(separator: " or ")
    }
  }

  // MARK: Scheduling

  /// Announces what the running thread does next; returns when it is its turn.
  @inline(__always)
  func step(_ kind: Operation.Kind, _ location: UInt8) {
    let index = current
    guard index != Self.outside else { return }
    if isUpdating { fatalError("the change of a monitor uses no model type") }
    let thread = threads.advanced(by: index)
    thread.pointee.pending = Operation(kind: kind, location: location)
    if thread.pointee.hasAnnounced {
      resumeNext(from: index)
    } else {
      thread.pointee.hasAnnounced = true
      fdf_switch(&thread.pointee.fiber, &threads[Self.outside].fiber)
    }
  }

  private func resumeNext(from origin: Int) {
    let next = nextThread()
    guard next != origin else { return }
    current = next
    fdf_switch(&threads[origin].fiber, &threads[next].fiber)
  }

  /// - Returns: the thread whose turn it is, or `outside` if none can go on.
  private func nextThread() -> Int {
    while limit == nil {
      let enabled = enabledActions()
      guard enabled != 0 else { break }
      stepsHere += 1
      guard stepsHere <= stepLimit else {
        giveUp("no end after \(stepLimit) steps: a loop that makes no progress?")
        break
      }
      if stepsHere > longest { search.runOut() }
      let action = search.chooseAction(
        enabled: enabled, interrupted: interruptible(enabled), self)
      if action < 8 {
        threads[action].hasBegun = true
        last = action
        return action
      }
      flush(action - 8)
    }
    return Self.outside
  }

  /// The actions that can be taken: bits 0 to 7 are steps of threads, 8 to 15 flushes of their
  /// store buffers.
  private func enabledActions() -> UInt16 {
    var enabled: UInt16 = 0
    for index in 0..<threadCount {
      let thread = threads.advanced(by: index)
      if thread.pointee.status == .ready && canGoOn(thread) { enabled |= 1 &<< UInt16(index) }
      if model == .totalStoreOrder && !thread.pointee.buffer.isEmpty {
        enabled |= 1 &<< UInt16(index + 8)
      }
    }
    return hasSymmetry ? enabled & ~barredBySymmetry() : enabled
  }

  @inline(__always)
  private func canGoOn(_ thread: UnsafeMutablePointer<ModelThread>) -> Bool {
    let operation = thread.pointee.pending
    switch operation.kind {
    case .lock:
      return memory.latest(operation.location).pointee.value == 0 && thread.pointee.buffer.isEmpty
    case .park: return memory.latest(operation.location).pointee.value != 0
    case .spin:
      return thread.pointee.isStirred || thread.pointee.watched == 0 || hasNews(thread)
    case .store, .modify, .compareExchange, .tryLock, .unlock, .unpark:
      // A store that does not go into the buffer, or a locked instruction: the buffer comes first.
      return thread.pointee.buffer.isEmpty
    case .load, .buffer, .monitor, .heap, .begin: return true
    }
  }

  /// Of threads that have the same body and have not begun, the first goes first.
  private func barredBySymmetry() -> UInt16 {
    var barred: UInt16 = 0
    for index in 0..<threadCount where threads[index].symmetry != 0 && !threads[index].hasBegun {
      let isBarred = (0..<index).contains {
        threads[$0].symmetry == threads[index].symmetry && !threads[$0].hasBegun
      }
      if isBarred { barred |= 1 << UInt16(index) }
    }
    return barred
  }

  /// The thread that took the last step, as a bit, if it could go on: another one would interrupt
  /// it. A spin gives way.
  @inline(__always)
  private func interruptible(_ enabled: UInt16) -> UInt16 {
    guard last != Self.outside && threads[last].pending.kind != .spin else { return 0 }
    return enabled & 1 &<< UInt16(last)
  }

  // MARK: Ending early

  /// Notes what went wrong, the first time. The execution then runs to its end, so that the fibers
  /// return.
  func fail(_ message: String) {
    guard failure == nil && limit == nil else { return }
    note("✗ \(message)")
    failure = message
    stepsToFailure = stepsHere
    search.end()
  }

  /// Notes that a limit has been reached. Nothing runs any more.
  func giveUp(_ reason: String) {
    guard failure == nil && limit == nil else { return }
    limit = reason
    search.end()
  }

  func name(of index: Int) -> String {
    index < threadCount ? setup.unsafelyUnwrapped.threads[index].name : "the set-up"
  }
}

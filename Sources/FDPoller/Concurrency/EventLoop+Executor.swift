import CShims

// A loop as the executor of Swift tasks and actors.
//
// Jobs run in the order in which they were enqueued, each on the loop's thread, and never inside
// `enqueue`. From the loop itself an enqueue is an append to an array, without a lock or a wake-up;
// from elsewhere it is a letter. A turn runs the jobs that wait when it begins. A tick has a few turns
// for what they enqueue in turn, after its timers and before the wait, so that tasks that yield for
// ever neither pay a system call each time nor keep the loop from its descriptors. Another turn is
// within an event, where what the event resumes runs while the received bytes are still there.
//
// A job of a loop that has ended runs all the same, or its task would hang: one at a time, on a
// thread of its own.

extension EventLoop: SerialExecutor, TaskExecutor {
  /// Queues a job. Called by the Swift runtime, from any thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    accept(LoopJob(job: UnownedJob(job), home: nil))
  }

  /// For `unownedExecutor` of an actor that runs on this loop.
  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  /// Used by the Swift runtime.
  public func asUnownedTaskExecutor() -> UnownedTaskExecutor {
    UnownedTaskExecutor(ordinary: self)
  }

  /// Whether the calling thread is the loop's. Used by the Swift runtime.
  public func isIsolatingCurrentContext() -> Bool? { isCurrent }

  /// Traps if the calling thread is not the loop's. Used by the Swift runtime.
  public func checkIsolated() {
    precondition(isCurrent, "this has to run on \(self)")
  }
}

extension EventLoop {
  /// Takes the calling task to the loop for the length of the body: what waits there is resumed by
  /// the thread that it waits on. If the loop has ended, the body runs in its afterlife.
  package nonisolated(nonsending) func visit<Result: Sendable>(
    _ body: @escaping @Sendable @concurrent () async -> Result
  ) async -> Result {
    await withTaskExecutorPreference(self) { await body() }
  }

  /// How many jobs one turn runs at most, for the sake of the descriptors.
  private static var jobsPerTurn: Int { 4096 }
  private static var turnsPerTick: Int { 16 }

  /// Callable from any thread.
  func accept(_ job: LoopJob) {
    if isCurrent { return jobs.append(job) }
    // The Swift runtime calls without holding the loop: its task does, which may run, end and let go
    // of the poller before this call returns.
    let loop = Unmanaged.passUnretained(self).retain()
    if !post(.job(job)) { afterlife.accept(job, of: self) }
    loop.release()
  }

  /// The turns of a tick.
  func runTurns() {
    var left = Self.turnsPerTick
    while left > 0 && !jobs.isEmpty {
      left -= 1
      runJobs()
    }
  }

  /// One turn: runs the jobs that wait now. On the loop, in a tick or in a handler's call.
  package func runJobs() {
    var left = min(jobs.count, Self.jobsPerTurn)
    while left > 0, let job = jobs.popFirst() {
      left -= 1
      run(job)
    }
  }

  /// As `runJobs()`, for the loop whose thread this is.
  package static func runJobsHere() {
    guard let loop = fdp_current_loop() else { return }
    Unmanaged<EventLoop>.fromOpaque(loop)._withUnsafeGuaranteedRef { $0.runJobs() }
  }

  private func run(_ job: LoopJob) {
    counters.add(.jobs)
    guard let home = job.home?.takeUnretainedValue() else {
      return job.job.runSynchronously(on: asUnownedTaskExecutor())
    }
    guard home.isOn(self) else { return home.enqueue(job.job) }
    guard !home.holds(job.job, on: self) else { return }
    let outer = homeInHand
    homeInHand = job.home
    job.job.runSynchronously(on: home.executor.unsafelyUnwrapped)
    homeInHand = outer
  }

  /// The home of the job that runs now; nil if it has none, or none runs. On the loop.
  package var currentHome: TaskHome? {
    assert(isCurrent)
    return homeInHand?.takeUnretainedValue()
  }
}

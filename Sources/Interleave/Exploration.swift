import CFibers

/// One search through a scenario, with an execution of its own.
struct Exploration {
  private let options: Explorer.Options
  private let totalSteps: Int
  private let execution: Execution

  /// - Parameter totalSteps: a limit of the steps of all executions together.
  init(_ options: Explorer.Options, totalSteps: Int = .max) {
    self.options = options
    self.totalSteps = totalSteps
    execution = Execution(options: options)
  }

  func run(_ scenario: (Setup) -> Void) -> Report {
    fdf_set_current_execution(Unmanaged.passUnretained(execution).toOpaque())
    defer { fdf_set_current_execution(nil) }
    let setup = Setup(execution: execution)
    let clock = ContinuousClock()
    let began = clock.now
    var executions = 0
    var verdict: Report.Verdict?
    if let replay = options.replay { execution.search.follow(replay) }
    while verdict == nil {
      let outcome = execution.run(setup, scenario)
      executions += 1
      verdict = judge(outcome, executions, setup, scenario)
      if verdict == nil && !execution.search.backtrack() { verdict = exhausted }
    }
    return Report(
      verdict: verdict ?? exhausted, executions: executions, states: execution.search.states,
      merged: execution.search.merged, steps: execution.search.steps, duration: clock.now - began)
  }

  /// - Returns: the verdict, if that execution was the last.
  private func judge(
    _ outcome: Execution.Outcome, _ executions: Int, _ setup: Setup, _ scenario: (Setup) -> Void
  ) -> Report.Verdict? {
    let search = execution.search
    if search.hasDiverged {
      return .notExhausted(
        options.replay == nil
          ? "the scenario is not deterministic: the same choices led elsewhere"
          : "these choices are not of this scenario")
    }
    switch outcome {
    case .failed(let message):
      return .violation(tell(message, search.choices, search.preemptions, setup, scenario))
    case .gaveUp(let reason): return .notExhausted(reason)
    case .passed: break
    }
    if options.replay != nil { return .notExhausted("one execution was replayed") }
    if search.hitStateLimit { return .notExhausted("more than \(options.stateLimit) states") }
    if executions == options.executionLimit {
      return .notExhausted("stopped after \(executions) executions")
    }
    if search.steps > totalSteps { return .notExhausted("more than \(totalSteps) steps") }
    return nil
  }

  private var exhausted: Report.Verdict {
    options.preemptions.map { .notExhausted("explored up to \($0) preemptions only") } ?? .proved
  }

  /// Runs the execution that failed once more, for its story.
  private func tell(
    _ message: String, _ choices: [Int], _ preemptions: Int, _ setup: Setup,
    _ scenario: (Setup) -> Void
  ) -> Report.Violation {
    execution.trace = Trace()
    execution.search.follow(choices)
    _ = execution.run(setup, scenario)
    let story = execution.trace?.lines ?? []
    execution.trace = nil
    return Report.Violation(
      message: message, story: story, choices: choices, preemptions: preemptions)
  }
}

import CFibers

/// One search through a scenario, with an execution of its own.
struct Exploration {
  private let options: Explorer.Options
  private let totalSteps: Int
  private let longest: Int
  private let execution: Execution

  /// - Parameters:
  ///   - totalSteps: a limit of the steps of all executions together.
  ///   - longest: how many steps a violation may take; what needs more is none.
  init(_ options: Explorer.Options, totalSteps: Int = .max, longest: Int = .max) {
    self.options = options
    self.totalSteps = totalSteps
    self.longest = longest
    execution = Execution(options: options, longest: longest)
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
      if executions == 1, verdict == nil, case .passed = outcome {
        verdict = rehearse(setup, scenario)
      }
      if verdict == nil && !execution.search.backtrack() { verdict = exhausted }
    }
    return Report(
      verdict: verdict ?? exhausted, executions: executions, states: execution.search.states,
      merged: execution.search.merged, steps: execution.search.steps, duration: clock.now - began)
  }

  private static let notDeterministic = Report.Verdict.notExhausted(
    "the scenario is not deterministic: the same choices led elsewhere")

  /// Repeats the first execution. The others repeat parts of those before them, and are checked as
  /// well, but one that is like this one up to its last step would not be noticed.
  private func rehearse(_ setup: Setup, _ scenario: (Setup) -> Void) -> Report.Verdict? {
    let length = execution.search.progress.known
    guard case .passed = execution.run(setup, scenario), !execution.search.hasDiverged,
      execution.search.progress == (length, length)
    else { return Self.notDeterministic }
    return nil
  }

  /// - Returns: the verdict, if that execution was the last.
  private func judge(
    _ outcome: Execution.Outcome, _ executions: Int, _ setup: Setup, _ scenario: (Setup) -> Void
  ) -> Report.Verdict? {
    let search = execution.search
    if search.hasDiverged || search.hasChoicesLeft {
      return options.replay == nil
        ? Self.notDeterministic : .notExhausted("these choices are not of this scenario")
    }
    switch outcome {
    case .failed where execution.stepsToFailure <= longest:
      return tell(search.choices, search.preemptions, setup, scenario)
    case .gaveUp where search.hasCycle: break
    case .gaveUp(let reason): return .notExhausted(reason)
    case .passed, .failed: break
    }
    if options.replay != nil { return .notExhausted("one execution was replayed, and went well") }
    if search.hasCycle {
      return .notExhausted("an execution came back to a state that it had been in: no end")
    }
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
    _ choices: [Int], _ preemptions: Int, _ setup: Setup, _ scenario: (Setup) -> Void
  ) -> Report.Verdict {
    execution.trace = Trace()
    execution.search.follow(choices)
    let outcome = execution.run(setup, scenario)
    let story = execution.trace?.lines ?? []
    execution.trace = nil
    guard case .failed(let message) = outcome else { return Self.notDeterministic }
    return .violation(
      Report.Violation(
        message: message, story: story, choices: choices, preemptions: preemptions,
        steps: execution.stepsToFailure))
  }
}

import CFibers
import Synchronization

/// What a scenario consists of, filled in by its body at the start of each execution.
public final class Setup {
  struct Thread {
    let name: String
    let symmetry: Int
    let body: () -> Void
  }

  private unowned(unsafe) let execution: Execution
  private(set) var threads: [Thread] = []
  private(set) var checks: [() -> Void] = []

  init(execution: Execution) { self.execution = execution }

  /// Adds a thread; at most seven.
  ///
  /// - Parameters:
  ///   - name: how traces call it.
  ///   - symmetry: threads with the same number, other than 0, have the same body and touch nothing by which
  ///     they differ; only one of their orders is explored.
  ///   - body: synchronous; what it does is determined by what it reads from model types.
  public func thread(_ name: String, symmetry: Int = 0, _ body: @escaping () -> Void) {
    precondition(
      threads.count < Execution.maximumThreads,
      "a scenario has at most \(Execution.maximumThreads) threads")
    threads.append(Thread(name: name, symmetry: symmetry, body: body))
  }

  /// Adds a check of what all threads have left behind when they are done.
  public func finally(_ check: @escaping () -> Void) { checks.append(check) }

  /// A violation unless the condition holds. From a thread or a check.
  public func require(_ condition: Bool, _ message: @autoclosure () -> String) {
    if !condition { execution.fail(message()) }
  }

  /// Adds a line to the story of a violation. From a thread or a check.
  public func note(_ text: @autoclosure () -> String) {
    guard execution.trace != nil else { return }
    execution.trace?.note(text(), by: execution.current)
  }

  /// Waits, in a loop that waits for a change, until another thread has stored something.
  public func spin() { execution.spin() }

  /// Names a word that production code has made, by the order of making, counted from 0.
  public func name(
    _ word: Int, _ name: String, describe: ((UInt64) -> String)? = nil
  ) {
    execution.memory.setName(UInt8(word), name, describe)
  }
}

/// Runs a scenario in every order that its threads can take.
public enum Explorer {
  /// How far to go.
  public struct Options: Sendable {
    /// What loads may read.
    public var model = MemoryModel.sequentiallyConsistent
    /// At most so often a thread is interrupted that could go on; nil for any number. With a bound the result is
    /// no proof.
    public var preemptions: Int?
    /// Steps of one execution; more is taken for a loop without progress.
    public var stepLimit = 10_000
    /// Executions in all; 0 for any number.
    public var executionLimit = 0
    /// States that are remembered; about 40 bytes each.
    public var stateLimit = 50_000_000
    /// Whether a state that was met before is left out.
    public var mergesStates = true
    /// Whether one order is enough for steps that do not touch each other.
    public var prunesIndependent = true
    /// Follows these choices, in one execution.
    public var replay: [Int]?

    /// Everything, under sequential consistency.
    public init(model: MemoryModel = .sequentiallyConsistent) { self.model = model }
  }

  /// Explores a scenario on the calling thread.
  ///
  /// - Parameters:
  ///   - options: how far to go.
  ///   - scenario: makes the shared objects and adds the threads; called anew for every execution.
  public static func explore(
    _ options: Options = Options(), _ scenario: (Setup) -> Void
  ) -> Report {
    precondition(
      fdf_current_execution() == nil, "a scenario cannot explore another one")
    let execution = Execution(model: options.model, options: options)
    fdf_set_current_execution(Unmanaged.passUnretained(execution).toOpaque())
    exclusivity.begin()
    defer {
      exclusivity.end()
      fdf_set_current_execution(nil)
    }
    if let replay = options.replay { execution.search.follow(replay) }
    return Run(execution, options).explore(scenario)
  }

  private static let exclusivity = ExclusivityChecks()
}

/// Switches the run-time checks off while anybody explores.
private final class ExclusivityChecks: Sendable {
  private let state = Mutex((explorers: 0, before: false))

  func begin() {
    state.withLock {
      if $0.explorers == 0 { $0.before = fdf_disable_exclusivity_checking(true) }
      $0.explorers += 1
    }
  }

  func end() {
    state.withLock {
      $0.explorers -= 1
      if $0.explorers == 0 { _ = fdf_disable_exclusivity_checking($0.before) }
    }
  }
}

/// One exploration.
private struct Run {
  let execution: Execution
  let options: Explorer.Options

  init(_ execution: Execution, _ options: Explorer.Options) {
    self.execution = execution
    self.options = options
  }

  func explore(_ scenario: (Setup) -> Void) -> Report {
    let clock = ContinuousClock()
    let began = clock.now
    var executions = 0
    func report(_ verdict: Report.Verdict) -> Report {
      Report(
        verdict: verdict, executions: executions, states: execution.search.states,
        merged: execution.search.merged, steps: execution.search.steps,
        duration: clock.now - began)
    }
    while true {
      let failure = execution.run(scenario)
      executions += 1
      if execution.search.isNondeterministic {
        return report(.notExhausted("the scenario is not deterministic: a replay went another way"))
      }
      if let failure {
        return report(.violation(tell(failure, execution.search.choices, scenario)))
      }
      if options.replay != nil { return report(.notExhausted("one execution was replayed")) }
      if execution.search.hitStateLimit {
        return report(.notExhausted("more than \(options.stateLimit) states"))
      }
      if !execution.search.backtrack() { break }
      if executions == options.executionLimit {
        return report(.notExhausted("stopped after \(executions) executions"))
      }
    }
    if options.preemptions != nil {
      return report(.notExhausted("explored up to the bound of preemptions only"))
    }
    return report(.proved)
  }

  /// Runs the execution that failed once more, for its story.
  private func tell(
    _ failure: String, _ choices: [Int], _ scenario: (Setup) -> Void
  ) -> Report.Violation {
    execution.trace = Trace(names: execution.names)
    execution.search.follow(choices)
    _ = execution.run(scenario)
    let lines = execution.trace?.lines ?? []
    execution.trace = nil
    return Report.Violation(message: failure, story: lines, choices: choices)
  }
}

/// What an exploration has found.
public struct Report: Sendable {
  /// How it ended.
  public enum Verdict: Sendable {
    /// Every execution was explored and none went wrong.
    case proved
    case violation(Violation)
    /// None went wrong, but not all were explored; the text says why.
    case notExhausted(String)
  }

  /// An execution that went wrong.
  public struct Violation: Sendable {
    /// What went wrong.
    public let message: String
    /// Its steps, each with its thread.
    public let story: [String]
    /// Its choices, for `Explorer.Options.replay`.
    public let choices: [Int]
  }

  /// How it ended.
  public let verdict: Verdict
  /// Executions that were run.
  public let executions: Int
  /// Different states that were met.
  public let states: Int
  /// Executions that were cut because their state had been met before.
  public let merged: Int
  /// Steps in all executions.
  public let steps: Int
  /// How long it took.
  public let duration: Duration

  /// The violation, if there was one.
  public var violation: Violation? {
    if case .violation(let violation) = verdict { violation } else { nil }
  }

  /// Whether everything was explored and nothing went wrong.
  public var isProved: Bool {
    if case .proved = verdict { true } else { false }
  }
}

extension Report: CustomStringConvertible {
  /// The verdict, with the story of a violation, and the figures.
  public var description: String {
    let figures = "executions \(executions), states \(states), steps \(steps), \(duration)"
    switch verdict {
    case .proved: return "proved: \(figures)"
    case .notExhausted(let reason): return "not exhausted (\(reason)): \(figures)"
    case .violation(let violation):
      let replay = violation.choices.map(String.init).joined(separator: ".")
      return (["violation: \(violation.message)"] + violation.story.map { "  " + $0 }
        + ["replay: \(replay)", figures]).joined(separator: "\n")
    }
  }
}

/// What an exploration has found.
public struct Report: Sendable {
  /// How it ended.
  public enum Verdict: Sendable {
    /// Every execution was explored and none went wrong.
    case proved
    /// One went wrong.
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
    /// How often a thread was interrupted that could have gone on.
    public let preemptions: Int
    /// How many steps it took until it went wrong.
    public let steps: Int
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

  /// The same exploration, with another violation to show.
  func telling(_ violation: Violation) -> Report {
    Report(
      verdict: .violation(violation), executions: executions, states: states, merged: merged,
      steps: steps, duration: duration)
  }
}

extension Report.Violation {
  /// The choices as one word, for a command line: `0.1.1.0`.
  public var replay: String { choices.map(String.init).joined(separator: ".") }
}

extension Report: CustomStringConvertible {
  /// The verdict, with the story of a violation, and the figures.
  public var description: String {
    let figures = "executions \(executions), states \(states), steps \(steps), \(duration)"
    switch verdict {
    case .proved: return "proved: \(figures)"
    case .notExhausted(let reason): return "not exhausted (\(reason)): \(figures)"
    case .violation(let violation):
      return
        (["violation: \(violation.message)"] + violation.story.map { "  " + $0 }
        + ["replay: \(violation.replay)", figures]).joined(separator: "\n")
    }
  }
}

import Interleave
import ProofKit
import Synchronization

/// How explorations are told of.
protocol ExplorationPrinter: Sendable {
  func tell(_ step: ProofStep, _ report: Report)
  func sum(_ tally: ExplorationTally.Counts)
}

/// Counts what came out. Used by one thread at a time.
final class ExplorationTally: Sendable {
  struct Counts {
    var proved = 0
    var violated = 0
    var notExhausted = 0
    var executions = 0
    var states = 0
    let began = ContinuousClock.now
  }

  /// What the exit code tells, where it is not 0.
  enum Failure: Error {
    case violation
    case notExhausted
  }

  private let printer: any ExplorationPrinter
  private let counts = Mutex(Counts())

  init(printer: any ExplorationPrinter) { self.printer = printer }

  func add(_ step: ProofStep, _ report: Report) {
    counts.withLock {
      switch report.verdict {
      case .proved: $0.proved += 1
      case .violation: $0.violated += 1
      case .notExhausted: $0.notExhausted += 1
      }
      $0.executions += report.executions
      $0.states += report.states
    }
    printer.tell(step, report)
  }

  func finish() throws(Failure) {
    let counts = counts.withLock { $0 }
    printer.sum(counts)
    if counts.violated > 0 { throw .violation }
    if counts.notExhausted > 0 { throw .notExhausted }
  }
}

/// Lines for people.
struct TextPrinter: ExplorationPrinter {
  /// One scenario was asked for: no sum.
  let isOne: Bool
  /// What of the command line, besides scenario and model, repeats an exploration.
  let subject: String

  func tell(_ step: ProofStep, _ report: Report) {
    let title = "\(step.scenario.name) (\(step.options.model.rawValue))"
    let figures =
      "\(step.scenario.threads) threads, \(report.executions) executions, \(report.states) states, "
      + "\(report.steps) steps, \(report.duration)"
    switch report.verdict {
    case .proved: print("\(title): proved; \(figures)")
    case .notExhausted(let reason): print("\(title): not exhausted, \(reason); \(figures)")
    case .violation(let violation):
      print("\(title): VIOLATION: \(violation.message)")
      for line in violation.story { print("  \(line)") }
      print("  \(figures)")
      print(
        "  again: fdstress explore \(step.scenario.name)\(subject) "
          + "--model \(step.options.model.rawValue) --replay \(violation.replay)")
    }
  }

  func sum(_ tally: ExplorationTally.Counts) {
    guard !isOne else { return }
    print(
      "\(tally.proved) proved, \(tally.violated) violated, \(tally.notExhausted) not exhausted; "
        + "\(tally.executions) executions, \(tally.states) states, "
        + "\(ContinuousClock.now - tally.began)")
  }
}

/// Objects for programs, one a line.
struct JSONPrinter: ExplorationPrinter {
  private struct Line: Encodable {
    let scenario: String
    let model: String
    let threads: Int
    let verdict: String
    let reason: String?
    let story: [String]?
    let replay: String?
    let preemptions: Int?
    let executions: Int
    let states: Int
    let steps: Int
    let seconds: Double
  }

  func tell(_ step: ProofStep, _ report: Report) {
    let (verdict, reason): (String, String?) =
      switch report.verdict {
      case .proved: ("proved", nil)
      case .notExhausted(let reason): ("not exhausted", reason)
      case .violation(let violation): ("violation", violation.message)
      }
    let line = Line(
      scenario: step.scenario.name, model: step.options.model.rawValue,
      threads: step.scenario.threads, verdict: verdict, reason: reason,
      story: report.violation?.story, replay: report.violation?.replay,
      preemptions: report.violation?.preemptions, executions: report.executions,
      states: report.states, steps: report.steps, seconds: report.duration / .seconds(1))
    printJSON(line)
  }

  func sum(_ tally: ExplorationTally.Counts) {}
}

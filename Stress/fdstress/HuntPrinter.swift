import FDDelays
import Glibc
import StressKit

/// How hunts are told of.
protocol HuntPrinter {
  func begin(_ hunt: Hunt, seed: UInt64, hasDelays: Bool)
  func end(_ outcome: Hunt.Outcome)
  func sum(_ outcomes: [Hunt.Outcome], seed: UInt64)
}

/// Lines for people.
struct TextHuntPrinter: HuntPrinter {
  func begin(_ hunt: Hunt, seed: UInt64, hasDelays: Bool) {
    print("\(hunt.defect): \(hunt.summary)")
    let delays =
      hasDelays
      ? "delays at " + hunt.delays.points.map(\.name).sorted().joined(separator: ", ")
      : StressParameters.delaysAreBuiltIn
        ? "without delays" : "without delays, which this build does not have"
    print("  \(hunt.scenario), seed \(seed), \(hunt.threads) threads, \(delays)")
    if let doubt = hunt.doubt { print("  it may not show: \(doubt)") }
    fflush(nil)
  }

  func end(_ outcome: Hunt.Outcome) {
    let report = outcome.report
    for text in report.complaints { print("  BROKEN \(text)") }
    if !report.threads.isEmpty {
      print("  what the threads did last, oldest first:")
      for line in report.threads { print("    \(line)") }
    }
    if let time = outcome.timeToDetection {
      print(
        "\(outcome.hunt.defect): found after \(milliseconds(time)) s"
          + (report.verdict == .noProgress ? ", by a hang" : ""))
      print("  the step: \(outcome.hunt.place)")
    } else {
      print("\(outcome.hunt.defect): not found in \(outcome.storms) storms")
    }
    fflush(nil)
  }

  func sum(_ outcomes: [Hunt.Outcome], seed: UInt64) {
    if outcomes.count > 1 {
      print("")
      printTable(
        [["defect", "seconds", "the step"]]
          + outcomes.map {
            [$0.hunt.defect, $0.timeToDetection.map(milliseconds) ?? "-", $0.hunt.place]
          })
    }
    print("seed \(seed)")
  }

  /// With three digits behind the point.
  private func milliseconds(_ duration: Duration) -> String {
    let thousandths = Int((duration / .milliseconds(1)).rounded())
    let rest = "\(thousandths % 1_000)"
    return "\(thousandths / 1_000)." + String(repeating: "0", count: 3 - rest.count) + rest
  }
}

/// Objects for programs, one a line.
struct JSONHuntPrinter: HuntPrinter {
  private struct Line: Encodable {
    let defect: String
    let step: String
    let scenario: String
    let seed: UInt64
    let isFound: Bool
    let secondsToDetection: Double?
    let storms: Int
    let verdict: String
    let complaints: [String]
    let threads: [String]
  }

  func begin(_ hunt: Hunt, seed: UInt64, hasDelays: Bool) {}
  func sum(_ outcomes: [Hunt.Outcome], seed: UInt64) {}

  func end(_ outcome: Hunt.Outcome) {
    printJSON(
      Line(
        defect: outcome.hunt.defect, step: outcome.hunt.place, scenario: outcome.hunt.scenario,
        seed: outcome.report.seed, isFound: outcome.isFound,
        secondsToDetection: outcome.timeToDetection.map { $0 / .seconds(1) },
        storms: outcome.storms, verdict: outcome.report.verdict.rawValue,
        complaints: outcome.report.complaints, threads: outcome.report.threads))
  }
}

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
    if hunt.origin == .patch { print("  it is a patch of Stress/defects, and in no other build") }
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
      printTable([["defect", "found", "median s", "longest s", "the step"]] + rows(outcomes))
    }
    print("seed \(seed)")
  }

  /// One for each defect. Whoever was not found counts as found last.
  private func rows(_ outcomes: [Hunt.Outcome]) -> [[String]] {
    var names: [String] = []
    for outcome in outcomes where !names.contains(outcome.hunt.defect) {
      names.append(outcome.hunt.defect)
    }
    return names.map { name in
      let mine = outcomes.filter { $0.hunt.defect == name }
      let times = mine.compactMap(\.timeToDetection).sorted()
      let middle = (mine.count - 1) / 2
      return [
        name, "\(times.count) of \(mine.count)",
        middle < times.count ? milliseconds(times[middle]) : "-",
        times.count == mine.count ? times.last.map(milliseconds) ?? "-" : "-",
        mine.first?.hunt.place ?? "",
      ]
    }
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

import FDPoller
import Glibc
import StressKit

/// How wedges are told of.
protocol WedgePrinter {
  func begin(_ wedge: String, _ summary: String, _ parameters: WedgeParameters)
  func end(_ report: WedgeReport)
}

/// Lines for people.
struct TextWedgePrinter: WedgePrinter {
  func begin(_ wedge: String, _ summary: String, _ parameters: WedgeParameters) {
    print("\(wedge): \(summary)")
    print(
      "  \(parameters.sessions) sessions, \(parameters.rate) exchanges a second each, "
        + "\(parameters.pairs) pairs of phases of \(seconds(parameters.phase)) s, "
        + "bound \(seconds(parameters.bound)) s, \(parameters.io.rawValue)"
        + (parameters.shape == .incident ? ", as it was when it happened" : "")
        + (parameters.hasNetwork ? "" : ", without a network that loses packets"))
    fflush(nil)
  }

  func end(_ report: WedgeReport) {
    var rows = [["", "exchanges", "p50 ms", "p99 ms", "with wedge", "p50 ms", "p99 ms", "ratio"]]
    let pairs = zip(report.phases, report.phases.dropFirst()).filter {
      !$0.0.isWedged && $0.1.isWedged
    }
    for (number, (without, with)) in pairs.enumerated() {
      rows.append([
        "  pair \(number + 1)", grouped(without.exchanges), milliseconds(without.median),
        milliseconds(without.percentile99), grouped(with.exchanges), milliseconds(with.median),
        milliseconds(with.percentile99),
        without.percentile99 > .zero ? hundredths(with.percentile99 / without.percentile99) : "-",
      ])
    }
    printTable(rows)
    print("  median ratio of the p99s: \(report.medianRatio.map(hundredths) ?? "-")")
    var names: [String] = []
    for one in report.wedged where !names.contains(one.name) { names.append(one.name) }
    for name in names {
      let mine = report.wedged.filter { $0.name == name }
      let ended = mine.count { $0.ending != nil }
      let longest = mine.map(\.duration).max() ?? .zero
      print(
        "  \(name): \(ended) of \(mine.count) ended in time, after \(milliseconds(longest)) ms at "
          + "most")
      if let text = mine.compactMap(\.ending).first { print("    \(text)") }
    }
    for text in report.complaints { print("  BROKEN \(text)") }
    print("\(report.wedge): \(report.isClean ? "clean" : "violated")")
    fflush(nil)
  }
}

/// Objects for programs, one a line.
struct JSONWedgePrinter: WedgePrinter {
  private struct Phase: Encodable {
    let isWedged: Bool
    let exchanges: Int
    let p50Milliseconds: Double
    let p99Milliseconds: Double
  }

  private struct Wedged: Encodable {
    let name: String
    let ending: String?
    let seconds: Double
  }

  private struct Line: Encodable {
    let wedge: String
    let io: String
    let shape: String
    let sessions: Int
    let phases: [Phase]
    let ratios: [Double]
    let medianRatio: Double?
    let wedged: [Wedged]
    let verdict: String
    let complaints: [String]
  }

  func begin(_ wedge: String, _ summary: String, _ parameters: WedgeParameters) {}

  func end(_ report: WedgeReport) {
    printJSON(
      Line(
        wedge: report.wedge, io: report.parameters.io.rawValue,
        shape: report.parameters.shape.rawValue, sessions: report.parameters.sessions,
        phases: report.phases.map {
          Phase(
            isWedged: $0.isWedged, exchanges: $0.exchanges,
            p50Milliseconds: $0.median / .milliseconds(1),
            p99Milliseconds: $0.percentile99 / .milliseconds(1))
        },
        ratios: report.ratios, medianRatio: report.medianRatio,
        wedged: report.wedged.map {
          Wedged(name: $0.name, ending: $0.ending, seconds: $0.duration / .seconds(1))
        },
        verdict: report.isClean ? "clean" : "violated", complaints: report.complaints))
  }
}

/// With two digits behind the point.
private func milliseconds(_ duration: Duration) -> String {
  hundredths(duration / .milliseconds(1))
}

private func hundredths(_ number: Double) -> String {
  let whole = Int((number * 100).rounded())
  let rest = "\(whole % 100)"
  return "\(whole / 100)." + String(repeating: "0", count: 2 - rest.count) + rest
}

import FDDelays
import FDPoller
import FoundationEssentials
import Glibc
import StressKit

/// How runs are told of.
protocol RunPrinter {
  func begin(_ scenario: String, _ parameters: StressParameters)
  func progress(_ progress: StressRun.Progress)
  func end(_ report: StressReport)
  func sum(_ reports: [StressReport], seed: UInt64)
}

/// Lines for people.
struct TextRunPrinter: RunPrinter {
  private let isTerminal = isatty(STDOUT_FILENO) == 1

  func begin(_ scenario: String, _ parameters: StressParameters) {
    let groups = parameters.groups ?? (parameters.threads + 15) / 16
    print(
      "\(scenario): seed \(parameters.seed), \(parameters.threads) threads in \(groups) "
        + (groups == 1 ? "group" : "groups") + ", \(parameters.io.rawValue), "
        + "\(seconds(parameters.duration)) s"
        + (parameters.delays == nil ? "" : ", with delays"))
    fflush(nil)
  }

  func progress(_ progress: StressRun.Progress) {
    guard isTerminal else { return }
    let counts = progress.counts.filter { $0.value != 0 }.prefix(6)
    print(
      "  \(progress.elapsed.components.seconds) s: "
        + counts.map { "\($0.name) \(grouped($0.value))" }.joined(separator: ", "))
    fflush(nil)
  }

  func end(_ report: StressReport) {
    for text in report.complaints { print("  BROKEN \(text)") }
    if !report.threads.isEmpty {
      print("  what the threads did last, oldest first:")
      for line in report.threads { print("    \(line)") }
    }
    print(
      "  " + report.counts.map { "\($0.name) \(grouped($0.value))" }.joined(separator: ", "))
    let found = report.timeToDetection.map { ", found after \(seconds($0)) s" } ?? ""
    print("\(report.scenario): \(report.verdict.rawValue)\(found)")
    fflush(nil)
  }

  func sum(_ reports: [StressReport], seed: UInt64) {
    let columns = [
      "operations", "takeovers", "closes by deleter", "closes by last leaver", "stale events",
      "lost events",
    ]
    func row(_ name: String, _ reports: [StressReport]) -> [String] {
      let values = columns.map { column in
        let counts = reports.compactMap { $0.counts.first { $0.name == column }?.value }
        return counts.isEmpty ? "-" : grouped(counts.reduce(0, +))
      }
      let verdict = reports.map(\.verdict).first { $0 != .clean } ?? .clean
      let duration = reports.reduce(Duration.zero) { $0 + $1.duration }
      return [name, verdict.rawValue, seconds(duration)] + values
    }
    var names: [String] = []
    for report in reports where !names.contains(report.scenario) { names.append(report.scenario) }
    var rows = [["scenario", "verdict", "seconds"] + columns]
    rows += names.map { name in row(name, reports.filter { $0.scenario == name }) }
    if names.count > 1 { rows.append(row("all", reports)) }
    print("")
    printTable(rows)
    print("seed \(seed)")
  }
}

/// Objects for programs, one a line.
struct JSONRunPrinter: RunPrinter {
  private struct Line: Encodable {
    let scenario: String
    let seed: UInt64
    let threads: Int
    let groups: Int?
    let io: String
    let delaysAt: [String]
    let verdict: String
    let complaints: [String]
    let lastSteps: [String]
    let secondsToDetection: Double?
    let seconds: Double
    let counts: [String: Int]
  }

  func begin(_ scenario: String, _ parameters: StressParameters) {}
  func progress(_ progress: StressRun.Progress) {}
  func sum(_ reports: [StressReport], seed: UInt64) {}

  func end(_ report: StressReport) {
    printJSON(
      Line(
        scenario: report.scenario, seed: report.seed, threads: report.parameters.threads,
        groups: report.parameters.groups, io: report.parameters.io.rawValue,
        delaysAt: (report.parameters.delays?.points ?? []).map(\.name).sorted(),
        verdict: report.verdict.rawValue,
        complaints: report.complaints, lastSteps: report.threads,
        secondsToDetection: report.timeToDetection.map { $0 / .seconds(1) },
        seconds: report.duration / .seconds(1),
        counts: Dictionary(
          report.counts.map { ($0.name, $0.value) }, uniquingKeysWith: { $0 + $1 })))
  }
}

/// One line.
func printJSON(_ value: some Encodable) {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  guard let data = try? encoder.encode(value) else {
    preconditionFailure("strings and numbers can be encoded")
  }
  print(String(decoding: data, as: UTF8.self))
  fflush(nil)
}

/// Rows whose columns stand below each other.
func printTable(_ rows: [[String]]) {
  let count = rows.map(\.count).max() ?? 0
  let widths = (0..<count).map { column in rows.map { $0[column].count }.max() ?? 0 }
  for row in rows {
    var line = ""
    for (column, text) in row.enumerated() {
      line += text
      guard column + 1 < row.count else { break }
      line += String(repeating: " ", count: widths[column] - text.count + 2)
    }
    print(line)
  }
}

/// With one digit behind the point.
func seconds(_ duration: Duration) -> String {
  let tenths = Int((duration / .milliseconds(100)).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

/// With a comma between thousands.
func grouped(_ number: Int) -> String {
  let digits = Array("\(abs(number))")
  let text = digits.indices.reduce(into: "") { text, index in
    if index > 0 && (digits.count - index) % 3 == 0 { text.append(",") }
    text.append(digits[index])
  }
  return number < 0 ? "-" + text : text
}

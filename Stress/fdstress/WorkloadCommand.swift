import ArgumentParser
import Glibc
import Workloads

struct WorkloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "workload",
    abstract: "Repeat single operations of the runtime, and say how long one takes.",
    discussion: """
      Each is a function with a symbol of its own, workload_ and its name, for profilers. budget \
      counts the instructions of those where they are the same in every run.

      Exit codes: 0, or 2 usage.
      """)

  @Argument(help: "Names from --list; all if there is none.")
  var workloads: [String] = []

  @Flag(help: "List the workloads.")
  var list = false

  @Option(help: "How often to repeat each in a round.")
  var count = 100_000

  @Option(help: "How many rounds, after one that warms up; their median is told, and the least.")
  var rounds = 5

  func validate() throws {
    guard 1...1_000_000_000 ~= count else {
      throw ValidationError("--count \(count) is not 1 to 1000000000")
    }
    guard 1...1_000 ~= rounds else { throw ValidationError("--rounds \(rounds) is not 1 to 1000") }
    _ = try chosen()
  }

  func run() throws {
    if list { return printTable(try chosen().map { [$0.name, $0.summary] }) }
    print("\(grouped(count)) repetitions, \(rounds) rounds: median and least ns")
    for workload in try chosen() {
      let name = workload.name + String(repeating: " ", count: max(1, 20 - workload.name.count))
      do {
        let times = try workload.measure(count, rounds: rounds).sorted()
        print("\(name) \(padded(times[times.count / 2])) \(padded(times[0]))  \(workload.summary)")
      } catch {
        print("\(name) cannot be run here: \(error)")
      }
      fflush(nil)
    }
  }

  private func chosen() throws -> [Workload] {
    guard !workloads.isEmpty else { return WorkloadCatalogue.workloads }
    return try workloads.map { name in
      guard let workload = WorkloadCatalogue.workloads.first(where: { $0.name == name }) else {
        throw ValidationError(
          "there is no workload \(name); fdstress workload --list tells which there are")
      }
      return workload
    }
  }
}

private func padded(_ number: Double) -> String {
  let text = tenths(number)
  return String(repeating: " ", count: max(0, 9 - text.count)) + text
}

public import ArgumentParser
import Dispatch
import FDPoller
import Glibc
public import StressKit

struct WedgeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wedge",
    abstract: "Let one peer hang or vanish, and measure the sessions that behave.",
    discussion: """
      Each wedge is a small server with real sockets. Its sessions exchange small messages by a \
      time-table, in phases without and with the wedge in turn; whoever is wedged must be ended \
      within its bound, with an error that says so. list --wedges tells which there are.

      Exit codes: 0 clean, 1 somebody was not ended in time, a session got an error, or with \
      --check-ratio the 99th percentile rose too much, 2 usage.
      """)

  @Argument(help: "Names from list --wedges; all if there is none.")
  var wedges: [String] = []

  @Option(help: "How many sessions behave.")
  var sessions = 200

  @Option(help: "How many exchanges each begins in a second.")
  var rate = 10.0

  @Option(help: "How long is measured at a time, in seconds.")
  var phase = 3.0

  @Option(help: "How many pairs of phases.")
  var pairs = 5

  @Option(help: "How long the server bears with whoever is wedged, in seconds (default: a phase).")
  var bound: Double?

  @Option(help: "What the pollers' threads wait with.")
  var io = IOBackend.epoll

  @Option(help: "The primitives, or what was there when it happened: primitive or incident.")
  var shape = WedgeParameters.Shape.primitive

  @Flag(help: "The median ratio of the 99th percentiles with and without may be at most 1.5.")
  var checkRatio = false

  @Flag(help: "Without the clients in a network namespace that loses packets, which take root.")
  var withoutNetwork = false

  @Flag(help: "One JSON object per wedge and line.")
  var json = false

  private static let mostRatio = 1.5

  func validate() throws {
    guard 1...10_000 ~= sessions else {
      throw ValidationError("--sessions \(sessions) is not 1 to 10000")
    }
    guard 1...1_000 ~= rate else { throw ValidationError("--rate \(rate) is not 1 to 1000") }
    guard phase > 0 && phase <= 3_600 else {
      throw ValidationError("--phase \(phase) is not above 0 and at most an hour")
    }
    guard 1...1_000 ~= pairs else { throw ValidationError("--pairs \(pairs) is not 1 to 1000") }
    if let bound, !(bound > 0 && bound <= 3_600) {
      throw ValidationError("--bound \(bound) is not above 0 and at most an hour")
    }
    _ = try chosen()
  }

  func run() throws {
    let printer: any WedgePrinter = json ? JSONWedgePrinter() : TextWedgePrinter()
    var parameters = WedgeParameters(program: [try ownPath(), WedgeChildCommand.name])
    parameters.sessions = sessions
    parameters.rate = rate
    parameters.phase = .seconds(phase)
    parameters.pairs = pairs
    parameters.bound = .seconds(bound ?? phase)
    parameters.io = io
    parameters.shape = shape
    parameters.mostRatio = checkRatio ? Self.mostRatio : nil
    parameters.hasNetwork = !withoutNetwork && geteuid() == 0
    var isClean = true
    for wedge in try chosen() {
      let chosen = parameters
      printer.begin(wedge.name, wedge.summary, chosen)
      let report: WedgeReport
      do {
        report = try waitFor { try await WedgeRun.run(wedge, chosen) }
      } catch {
        throw ValidationError("\(wedge.name): \(error)")
      }
      printer.end(report)
      if !report.isClean { isClean = false }
    }
    if !isClean { throw StressReport.Verdict.violated }
  }

  private func chosen() throws -> [any Wedge.Type] {
    guard !wedges.isEmpty else { return WedgeCatalogue.wedges }
    return try wedges.map { name in
      guard let wedge = WedgeCatalogue.wedges.first(where: { $0.name == name }) else {
        throw ValidationError(
          "there is no wedge \(name); fdstress list --wedges tells which there are")
      }
      return wedge
    }
  }
}

/// What a wedge starts: see `WedgeRun.beChild`.
struct WedgeChildCommand: ParsableCommand {
  static let name = "wedge-child"
  static let configuration = CommandConfiguration(
    commandName: name, abstract: "What a wedge starts as a process of its own.",
    shouldDisplay: false)

  @Argument(parsing: .allUnrecognized)
  var role: [String] = []

  func run() throws { try WedgeRun.beChild(role) }
}

extension WedgeParameters.Shape: ExpressibleByArgument {}

/// Runs the body in a task, and blocks the calling thread until it has ended.
private func waitFor<Result: Sendable>(
  _ body: @escaping @Sendable () async throws -> Result
) throws -> Result {
  let outcome = Outcome<Result>()
  let isOver = DispatchSemaphore(value: 0)
  Task.detached {
    do {
      outcome.result = .success(try await body())
    } catch {
      outcome.result = .failure(error)
    }
    isOver.signal()
  }
  isOver.wait()
  guard let result = outcome.result else { preconditionFailure("the task has signalled too early") }
  return try result.get()
}

/// Written before the semaphore is signalled, and read after.
private final class Outcome<Value: Sendable>: @unchecked Sendable {
  var result: Result<Value, any Error>?
}

import ArgumentParser
import FDNet
import FDPoller
import Glibc
import Logging

/// `fdproxy demo`: an origin, the proxy in front of it and a load through it, in one process; then
/// the bill.
struct Demo: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Show the proxy at work: an origin, a load through the proxy, and the ledgers after it.")

  @Flag(help: "End after the summary instead of serving on.")
  var once = false

  @Option(help: ArgumentHelp("How long the load lasts.", valueName: "seconds"))
  var seconds = 8

  @Option(help: "What the proxy's threads wait with; auto is io_uring where it can be had.")
  var io = IOBackend.epoll

  private static let clients = 300

  func validate() throws {
    guard 1...60 ~= seconds else { throw ValidationError("--seconds can be 1 to 60") }
  }

  func run() throws {
    try DescriptorLimit.raise()
    let before = OpenDescriptors.count()
    let bill = try load()
    say("\n\(bill.summary)")
    let discrepancies = bill.discrepancies(descriptorsBefore: before)
    for discrepancy in discrepancies { say("  \(discrepancy)") }
    say("ledgers: \(discrepancies.isEmpty ? "clean" : "NOT clean")")
    guard discrepancies.isEmpty else { throw ExitCode(1) }
    if !once { try serve() }
  }

  /// Runs the load and stops everything.
  private func load() throws -> Bill {
    let stage = try DemoStage(waitingWith: io)
    let load = try Load(against: stage.proxyAddress, connections: Self.clients)
    say(
      "\(Self.clients) clients → proxy on \(stage.proxyAddress), \(stage.proxyThreads) threads, "
        + "\(stage.spares) spare connections → origin on \(stage.originAddress)\n")
    say(LiveLine.heading)
    var line = LiveLine()
    load.begin()
    for second in 1...seconds {
      Pause.until(second: second, since: line.start)
      say(line.next(after: second, stage, load))
    }
    let unfinished = load.finish()
    return try stage.close(load, unfinished: unfinished)
  }

  /// Origin and proxy anew, until a signal ends them.
  private func serve() throws {
    let origin = try Origin()
    defer { origin.stop() }
    let configuration = DemoStage.proxyConfiguration(
      listen: .loopback(port: 0), origin: origin.address)
    try Lifetime.run(
      configuration, DemoStage.pollerConfiguration(waitingWith: io),
      .toStandardError(label: "fdproxy", level: .warning)
    ) { addresses in
      let address = addresses.joined(separator: ", ")
      say("\nserving on \(address) until Ctrl-C; it echoes, for example to: nc \(netcat(address))")
    }
  }

  private func say(_ text: String) { StandardStream.output.write(text + "\n") }

  private func netcat(_ address: String) -> String {
    address.split(separator: ":").joined(separator: " ")
  }
}

/// Waiting on the main thread.
enum Pause {
  /// Until so many seconds after the given moment.
  static func until(second: Int, since start: ContinuousClock.Instant) {
    let end = start + .seconds(second)
    while ContinuousClock.now < end { usleep(1_000) }
  }
}

import ArgumentParser
import FDNet
import FDPoller
import Glibc
import Logging
import ReverseProxy

/// `fdproxy demo`: two origins, the proxy in front of them and a load through it, in one process;
/// then the bill.
struct Demo: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Show the proxy at work: two origins, a load through the proxy, and the ledgers after it.")

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
    let origins = stage.originAddresses.map(\.description).joined(separator: " and ")
    say(
      "\(Self.clients) clients → proxy on \(stage.proxyAddress), \(stage.proxyThreads) threads, one "
        + "pool, reuse always → origins on \(origins)\n")
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

  /// Origins and proxy anew, until a signal ends them.
  private func serve() throws {
    let origins = try ["origin-a", "origin-b"].map { try DemoOrigin(named: $0, waitingWith: io) }
    defer { for origin in origins { origin.stop() } }
    let configuration = DemoStage.proxyConfiguration(origins: origins.map(\.address))
    var settings = Settings(.http(configuration))
    settings.logLevel = .warning
    let logger = Logger.toStandardError(label: "fdproxy", level: .warning)
    try Lifetime.run(
      DemoStage.pollerConfiguration(waitingWith: io), logger,
      whenListening: { addresses in
        say("\nserving on http://\(addresses.joined(separator: ", ")) until Ctrl-C; try curl -i")
      },
      { poller, whenDrained in
        HTTPProcess(
          settings, HTTPProxy(configuration, on: poller, logger, whenDrained: whenDrained), logger)
      })
  }

  private func say(_ text: String) { StandardStream.output.write(text + "\n") }
}

/// Waiting on the main thread.
enum Pause {
  /// Until so many seconds after the given moment.
  static func until(second: Int, since start: ContinuousClock.Instant) {
    let end = start + .seconds(second)
    while ContinuousClock.now < end { usleep(1_000) }
  }
}

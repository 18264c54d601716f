import ArgumentParser
import FDNet
import FDPoller

/// Measures, in turn, how long it takes to make another loop's idle connection one's own, and to
/// make a new connection to the same server.
@main struct FDTakeover: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fd-takeover",
    abstract: "Takes idle connections over, and makes new ones to the same server, in turn.",
    discussion: """
      Prints a line of JSON: medians and 99th percentiles in microseconds. A takeover counts from \
      the look for an idle connection until this loop's kernel poller has it, and is usable before \
      that; an empty round of the loop is part of it. A connect counts from socket(2) until it can \
      be written to.
      """)

  @Argument(help: "Of a server at 127.0.0.1 that says nothing of its own accord.")
  var port: Int

  @Option(help: "Of each kind.")
  var count = 20_000

  @Option(help: "Idle connections, of which there are always that many.")
  var idle = 64

  mutating func validate() throws {
    guard 1...65_535 ~= port else { throw ValidationError("PORT is \(port); it can be 1 to 65535") }
    guard 1...1_000_000 ~= count else {
      throw ValidationError("--count is \(count); it can be 1 to 1000000")
    }
    guard 1...2_000 ~= idle else {
      throw ValidationError("--idle is \(idle); it can be 1 to 2000")
    }
  }

  func run() async throws {
    let poller = try Poller(PollerConfiguration(threads: 2))
    try poller.start()
    let contest = Contest(
      on: poller, server: try SocketAddress(parsing: "127.0.0.1:\(port)"), count: count, idle: idle)
    let result: ContestResult
    do {
      result = try await contest.run()
    } catch {
      try poller.stop()
      throw error
    }
    try poller.stop()
    print(result.json)
  }
}

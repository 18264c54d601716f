import ArgumentParser
import CBench
import Hummingbird
import Logging
import NIOPosix

/// Hummingbird as a server that is measured.
@main
struct HummingbirdServer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hummingbird-server",
    abstract: "Serve HTTP at 127.0.0.1:PORT until SIGTERM, as Hummingbird does it.")

  @Argument(help: "Where to listen.")
  var port: UInt16

  @Option(help: "How many event loops.")
  var threads = 1

  func run() async throws {
    bench_raise_descriptor_limit()
    let router = Router()
    router.get { _, _ in "Hello, World!" }
    var logger = Logger(label: "hummingbird-server")
    logger.logLevel = .error
    let application = Application(
      responder: router.buildResponder(),
      configuration: ApplicationConfiguration(
        address: .hostname("127.0.0.1", port: Int(port)), backlog: 4096),
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: threads)),
      logger: logger)
    try await application.runService()
  }
}

import ArgumentParser
import CBench
import NIOCore
import NIOPosix

/// SwiftNIO as servers that are measured.
@main
struct NIOServer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nio-server",
    abstract: "Serve at 127.0.0.1:PORT until SIGTERM: echo and HTTP as SwiftNIO does it.")

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case echo
    case http
  }

  enum Face: String, CaseIterable, ExpressibleByArgument {
    case handler
    case async
  }

  enum Executor: String, CaseIterable, ExpressibleByArgument {
    case pool
    case loops
  }

  @Argument(help: "What to be: echo or http.")
  var kind: Kind

  @Argument(help: "Where to listen.")
  var port: UInt16

  @Option(help: "handler or async: ChannelHandler or NIOAsyncChannel.")
  var face = Face.handler

  @Option(help: "How many event loops.")
  var threads = 1

  @Option(help: "pool or loops: where tasks run. The latter is what SwiftNIO calls unsafe.")
  var executor = Executor.pool

  func run() async throws {
    bench_raise_descriptor_limit()
    let group: MultiThreadedEventLoopGroup
    switch executor {
    case .pool:
      group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
    case .loops:
      NIOSingletons.groupLoopCountSuggestion = threads
      guard NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor()
      else { throw ValidationError("tasks cannot run on event loops here") }
      group = .singleton
    }
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 4096)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    switch (kind, face) {
    case (.echo, .handler): try await EchoHandler.serve(bootstrap, port)
    case (.http, .handler): try await HTTPHandler.serve(bootstrap, port)
    case (.echo, .async): try await serveEcho(bootstrap, port)
    case (.http, .async): try await serveHTTP(bootstrap, port)
    }
  }
}

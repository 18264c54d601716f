import ArgumentParser
import FDNet
import FDPoller
import Glibc

/// The libraries as servers that are measured.
struct FDServer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fd-server",
    abstract: "Serve at 127.0.0.1:PORT until SIGTERM: the servers of swift-fd-poller.")

  enum Kind: String, CaseIterable, ExpressibleByArgument {
    case echo
    case http
    case tcpProxy = "tcp-proxy"
  }

  enum Face: String, CaseIterable, ExpressibleByArgument {
    case handler
    case async
  }

  @Argument(help: "What to be: echo, http or tcp-proxy.")
  var kind: Kind

  @Argument(help: "Where to listen.")
  var port: UInt16

  @Option(help: "handler or async: what the server is written with.")
  var face = Face.handler

  @Option(help: "epoll, io_uring or auto: what the loops wait with.", transform: Self.backend)
  var io = IOBackend.epoll

  @Option(help: "How many loops.")
  var threads = 1

  @Option(help: "The port on 127.0.0.1 to which tcp-proxy forwards.")
  var backend: UInt16?

  @Option(help: "Pending timers of each loop, of which every message of an echo replaces one.")
  var timers: Int?

  private static func backend(_ text: String) throws -> IOBackend {
    guard let backend = IOBackend(rawValue: text) else {
      throw ValidationError("it is epoll, io_uring or auto")
    }
    return backend
  }

  func validate() throws {
    if (kind == .tcpProxy) != (backend != nil) {
      throw ValidationError("--backend goes with tcp-proxy, which needs it")
    }
    if let timers, kind != .echo || face != .handler || !(1...10_000_000 ~= timers) {
      throw ValidationError("--timers is 1 to 10000000, and goes with echo --face handler")
    }
  }

  func run() throws {
    // Before there are other threads, which would take them.
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGTERM, SIGINT] { sigaddset(&signals, signal) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    // The poller sizes its table by the limit.
    _ = Poller.raiseDescriptorLimit(to: 1 << 20)
    var configuration = PollerConfiguration(threads: threads)
    configuration.io = io
    // A busy machine is no news.
    configuration.tickLimit = .seconds(60)
    let poller = try Poller(configuration)
    try poller.start()
    do {
      let server = try open(at: .loopback(port: port), on: poller)
      var signal: CInt = 0
      sigwait(&signals, &signal)
      server.close()
      try poller.stop()
    } catch {
      try poller.stop()
      throw error
    }
  }

  private func open(at address: SocketAddress, on poller: Poller) throws -> any Server {
    if let timers { return try TimedEcho.server(at: address, timers: timers, on: poller) }
    return switch (kind, face) {
    case (.echo, .handler): try Listener(address, on: poller) { _ in Echo() }
    case (.echo, .async): try AsyncEcho(at: address, on: poller)
    case (.http, .handler): try Greeter.server(at: address, on: poller)
    case (.http, .async): try AsyncHTTP(at: address, on: poller)
    case (.tcpProxy, .handler):
      try Relay.server(at: address, to: .loopback(port: backend ?? 0), on: poller)
    case (.tcpProxy, .async):
      try AsyncRelay(at: address, to: .loopback(port: backend ?? 0), on: poller)
    }
  }
}

/// What listens.
protocol Server {
  /// Accepts nobody any more.
  func close()
}

extension Listener: Server {}

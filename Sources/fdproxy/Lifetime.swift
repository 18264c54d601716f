import FDNet
import FDPoller
import Glibc
import Logging
import ReverseProxy
import Synchronization

/// A proxy that runs as a process. Callable from any thread.
protocol RunningProxy: Sendable {
  /// Begins to take clients. The poller is started.
  ///
  /// - Parameter successorAccepts: called when another process has taken the listening sockets over
  ///   and accepts at them, on any thread.
  /// - Returns: where.
  func listen(_ successorAccepts: @escaping @Sendable () -> Void) throws -> [SocketAddress]
  /// Takes no more clients and lets the others finish. Called once.
  ///
  /// - Parameter toSuccessor: another process accepts them.
  func drain(toSuccessor: Bool)
  /// No other process can take over from here on. Not on a loop.
  func refuseSuccessors()
  /// Reads its configuration again, where it has a file. Not on a loop.
  func reload()
  /// How long a drain may take, at this moment.
  var drainTime: Duration { get }
  /// What is being served.
  var openSessions: Int { get }
  /// The counters in words.
  var report: String { get }
}

/// A proxy as a process: from its start, through its signals, to its end.
///
/// | signal          | first time                                             | again        |
/// |-----------------|--------------------------------------------------------|--------------|
/// | SIGTERM, SIGINT | drains: ends with the last session, or after drainTime | ends at once |
/// | SIGHUP          | reads its file again, and reopens its access log       | the same     |
/// | SIGUSR1         | prints the counters                                    | the same     |
///
/// A successor that accepts at its sockets makes it drain, too.
final class Lifetime: Sendable {
  private let proxy: any RunningProxy
  private let logger: Logger
  private let main: MainThread
  private let loop: EventLoop
  private let isDraining = Atomic(false)

  private init(
    _ proxy: any RunningProxy, _ logger: Logger, _ main: MainThread, _ loop: EventLoop
  ) {
    self.proxy = proxy
    self.logger = logger
    self.main = main
    self.loop = loop
  }

  /// What the main thread waits for while the loops work. Callable from any thread.
  private final class MainThread: Sendable {
    private let latch = Latch()
    private let isOver = Atomic(false)
    private let tasks = Mutex<[@Sendable () -> Void]>([])

    func end() {
      isOver.store(true, ordering: .releasing)
      latch.open()
    }

    func run(_ task: @escaping @Sendable () -> Void) {
      tasks.withLock { $0.append(task) }
      latch.open()
    }

    /// Runs what it is given. Returns at the end.
    func wait() {
      while !isOver.load(ordering: .acquiring) {
        latch.wait(atMost: nil)
        let tasks = tasks.withLock { tasks in
          defer { tasks = [] }
          return tasks
        }
        for task in tasks { task() }
      }
    }
  }

  /// Runs a proxy until a signal ends it. On the main thread, before there are others.
  ///
  /// - Parameters:
  ///   - make: makes it; what it is given is to be called when a drain has found its end.
  ///   - whenListening: told where.
  static func run(
    _ pollerConfiguration: PollerConfiguration, _ logger: Logger,
    whenListening: ([String]) -> Void = { _ in },
    _ make: (Poller, @escaping @Sendable () -> Void) throws -> any RunningProxy
  ) throws {
    // A log reader that has gone away is no reason to end.
    signal(SIGPIPE, SIG_IGN)
    let main = MainThread()
    let poller = try Poller(pollerConfiguration)
    let proxy = try make(poller) { main.end() }
    let lifetime = Lifetime(proxy, logger, main, poller.loops[0])
    try poller.start()
    do {
      try SignalSource.open([SIGTERM, SIGINT, SIGHUP, SIGUSR1], on: poller.loops[0]) {
        lifetime.received($0)
      }
      let addresses = try proxy.listen { lifetime.successorAccepts() }.map(\.description)
      for address in addresses { logger.info("listening", metadata: ["address": "\(address)"]) }
      whenListening(addresses)
      main.wait()
      proxy.refuseSuccessors()
    } catch {
      try poller.stop()
      throw error
    }
    let cut = proxy.openSessions
    if cut > 0 { logger.warning("sessions are cut off", metadata: ["count": "\(cut)"]) }
    try poller.stop()
    logger.info("stopped")
  }

  /// On the first loop.
  private func received(_ signal: CInt) {
    switch signal {
    case SIGUSR1:
      StandardStream.error.write(proxy.report)
    case SIGHUP:
      // Not here: it looks up names, which may take its time.
      main.run { self.proxy.reload() }
    default:
      guard beginDraining(toSuccessor: false) else {
        logger.notice("ending at once")
        return main.end()
      }
    }
  }

  /// On any thread.
  private func successorAccepts() {
    loop.run { _ = self.beginDraining(toSuccessor: true) }
  }

  /// On the first loop.
  ///
  /// - Returns: false if it drains already.
  private func beginDraining(toSuccessor: Bool) -> Bool {
    guard !isDraining.exchange(true, ordering: .relaxed) else { return false }
    let limit = proxy.drainTime
    logger.notice(
      "draining; another signal ends at once",
      metadata: ["sessions": "\(proxy.openSessions)", "limit": "\(limit)"])
    loop.schedule(after: limit) { self.main.end() }
    proxy.drain(toSuccessor: toSuccessor)
    // Not here: it waits for a thread.
    main.run { self.proxy.refuseSuccessors() }
    return true
  }
}

extension TCPProxy: RunningProxy {
  func listen(_ successorAccepts: @escaping @Sendable () -> Void) throws -> [SocketAddress] {
    try listen()
  }
  func drain(toSuccessor: Bool) { drain() }
  func refuseSuccessors() {}
  var drainTime: Duration { configuration.drainTime }
  var openSessions: Int { sessions }
  func reload() { logger.notice("SIGHUP does nothing in mode tcp: restart to change something") }
}

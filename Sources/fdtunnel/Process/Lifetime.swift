import FDPoller
import Glibc
import Logging

/// A server or an agent as a process. Callable from any thread.
protocol RunningTunnel: Sendable {
  /// Begins. The poller is started.
  func start() throws
  /// Takes nobody any more and lets the others finish; tells its `Ending` then. Called once.
  func drain()
  /// Resets everybody who is left. After `drain`.
  func cut()
  /// Who is being served.
  var openStreams: Int { get }
}

/// From the start of the process through its signals to its end.
///
/// | signal          | first time                                            | again        |
/// |-----------------|-------------------------------------------------------|--------------|
/// | SIGTERM, SIGINT | drains: ends with the last stream, or after `--drain` | ends at once |
struct Lifetime: Sendable {
  private let tunnel: any RunningTunnel
  private let ending: Ending
  private let loop: EventLoop
  private let drainTime: Duration
  private let logger: Logger

  /// How long it takes at most to tell everybody that he was cut off.
  private static let cutTime = Duration.seconds(1)
  /// Below this not even a handful of streams fits beside the program's own descriptors.
  private static let fewestDescriptors: UInt64 = 64

  /// Runs a tunnel until a signal ends it, or it ends by itself. On the main thread, before there are
  /// others.
  ///
  /// - Parameter make: makes it; what it is given is told of the end.
  static func run(
    _ options: ProcessOptions, _ logger: Logger,
    _ make: (Poller, Ending) throws -> any RunningTunnel
  ) throws {
    // A log reader that has gone away is no reason to end.
    signal(SIGPIPE, SIG_IGN)
    // Who is started with it ignored never learns how a program of his has ended.
    signal(SIGCHLD, SIG_DFL)
    // Before the poller, which sizes its table by the limit.
    let limit = Poller.raiseDescriptorLimit(to: 1 << 20)
    guard limit >= fewestDescriptors else {
      throw Failure.runtime(
        "the limit of open descriptors is \(limit), and at least \(fewestDescriptors) are needed: "
          + "raise it, for example with ulimit -n 1024")
    }
    let ending = Ending()
    let poller = try Poller(options.pollerConfiguration)
    let tunnel = try make(poller, ending)
    let lifetime = Lifetime(
      tunnel: tunnel, ending: ending, loop: poller.loops[0], drainTime: options.drain,
      logger: logger)
    try poller.start()
    var failure: Failure?
    do {
      try lifetime.watchSignals()
      try tunnel.start()
      failure = ending.wait()
    } catch {
      try poller.stop()
      throw error
    }
    try poller.stop()
    if let failure { throw failure }
    logger.info("stopped")
  }

  private func watchSignals() throws {
    var isDraining = false
    // Called on one loop only.
    nonisolated(unsafe) let received = {
      if isDraining {
        logger.notice("ending at once")
        return ending.come()
      }
      isDraining = true
      drain()
    }
    try SignalSource.open([SIGTERM, SIGINT], on: loop) { _ in received() }
  }

  /// On the first loop.
  private func drain() {
    logger.notice(
      "draining; another signal ends at once",
      metadata: ["streams": "\(tunnel.openStreams)", "limit": "\(drainTime)"])
    loop.schedule(after: drainTime) {
      let count = tunnel.openStreams
      if count > 0 { logger.warning("streams are cut off", metadata: ["count": "\(count)"]) }
      tunnel.cut()
      loop.schedule(after: Self.cutTime) { ending.come() }
    }
    tunnel.drain()
  }
}

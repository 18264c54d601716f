import FDNet
import FDPoller
import Glibc
import Logging
import ReverseProxy
import Synchronization
import SystemPackage

/// Runs the HTTP proxy until a signal ends it. On the main thread, before there are others.
func runHTTP(_ settings: Settings, _ logger: Logger) throws {
  guard let configuration = settings.http else { return }
  let log = try configuration.accessLog.map {
    try AccessLog($0, laneCount: settings.threads, logger)
  }
  defer { log?.close() }
  try Lifetime.run(settings.pollerConfiguration, logger) { poller, whenDrained in
    let proxy = HTTPProxy(
      configuration, on: poller, log: log, logger, whenDrained: whenDrained)
    return HTTPProcess(settings, proxy, logger)
  }
}

/// The HTTP proxy with what a process has beside it.
final class HTTPProcess: RunningProxy {
  private let state: Mutex<State>
  private let proxy: HTTPProxy
  private let logger: Logger

  private struct State {
    var settings: Settings
    var takeover: TakeoverServer?
    var isDraining = false
  }

  init(_ settings: Settings, _ proxy: HTTPProxy, _ logger: Logger) {
    state = Mutex(State(settings: settings))
    self.proxy = proxy
    self.logger = logger
  }

  func drain(toSuccessor: Bool) {
    state.withLock { $0.isDraining = true }
    if toSuccessor { proxy.handOver() } else { proxy.drain() }
  }

  var drainTime: Duration { proxy.plan.configuration.drainTime }
  var openSessions: Int { proxy.clientCount }
  var report: String { proxy.report }

  func reload() {
    proxy.log?.reopen()
    let (old, isDraining) = state.withLock { ($0.settings, $0.isDraining) }
    guard !isDraining else { return logger.notice("nothing is reloaded while draining") }
    do {
      guard let new = try old.reread() else {
        return logger.notice("nothing to reload: there is no --config")
      }
      for change in Settings.needingRestart(from: old, to: new) {
        logger.warning("needs a restart to change", metadata: ["setting": "\(change)"])
      }
      guard let configuration = new.http else { return }
      let addresses = try proxy.reload(configuration)
      state.withLock { $0.settings = new }
      logger.notice(
        "reloaded", metadata: ["listening": "\(addresses)", "settings": "\(new.summary)"])
    } catch {
      for line in "\(error)".split(separator: "\n") { logger.error("\(line)") }
      logger.error("not reloaded: everything stays as it is")
    }
  }
}

// MARK: - Predecessors and successors

extension HTTPProcess {
  /// Takes the listening sockets of the process over that waits at the path of `--takeover`, if there
  /// is one, and waits there itself. Until the other process has said that it hands over, this one
  /// ends if anything fails, and the other goes on as if nothing had been.
  func listen(_ successorAccepts: @escaping @Sendable () -> Void) throws -> [SocketAddress] {
    guard let path = state.withLock(\.settings.takeoverPath) else { return try proxy.listen() }
    let predecessor = try findPredecessor(path)
    let addresses = try proxy.listen(after: predecessor)
    try predecessor.map(succeed)
    do {
      let server = try TakeoverServer(path: path, logger) { [self] in
        guard !state.withLock(\.isDraining) else { throw Draining() }
        return try proxy.offers()
      } handOver: {
        successorAccepts()
      }
      state.withLock { $0.takeover = server }
    } catch {
      guard predecessor != nil else { throw error }
      // Nobody else serves any more.
      logger.error("no process can take over from this one", metadata: ["reason": "\(error)"])
    }
    return addresses
  }

  /// What a successor is told that has come too late.
  private struct Draining: Error, CustomStringConvertible {
    let description = "it is ending; start again"
  }

  private func findPredecessor(_ path: String) throws(TakeoverError) -> Takeover? {
    do {
      let takeover = try TakeoverClient.take(path: path)
      logger.notice("taking over", metadata: ["listening": "\(takeover.addresses)"])
      return takeover
    } catch {
      guard error.cause == .nobodyThere else { throw error }
      return nil
    }
  }

  /// This process accepts. Sockets that it has no use for are closed first: a client that waits at
  /// one is then accepted by the predecessor for the last time.
  private func succeed(_ predecessor: Takeover) throws {
    let unwanted = predecessor.addresses
    for address in unwanted {
      for descriptor in predecessor.descriptors(for: address) { try? descriptor.close() }
      logger.warning(
        "nobody listens any more at an address of the predecessor's: the configuration has it not",
        metadata: ["address": "\(address)"])
    }
    try predecessor.confirm()
    for path in unwanted.compactMap(\.unixPath) { unlink(path) }
    logger.notice("the predecessor hands over and drains")
  }

  func refuseSuccessors() {
    let server = state.withLock { state in
      defer { state.takeover = nil }
      return state.takeover
    }
    server?.close()
  }
}

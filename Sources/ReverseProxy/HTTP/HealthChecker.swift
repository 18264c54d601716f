import FDHTTP
import FDNet
import FDPoller
import Logging
import Synchronization

/// Asks every backend of a plan whose group wants it, again and again, whether it is well.
final class HealthChecker: Sendable {
  private let plan: ProxyPlan
  private let poller: Poller
  private let logger: Logger
  private let isStopped = Locked(false)

  init(_ plan: ProxyPlan, on poller: Poller, _ logger: Logger) {
    self.plan = plan
    self.poller = poller
    self.logger = logger
  }

  /// Callable from any thread, when the checker of the plan before has been stopped. The poller is
  /// started.
  func begin() {
    // Nobody would say that it is well again.
    for group in plan.groups where group.configuration.healthCheck == nil {
      for backend in group.balancer.backends
      where !plan.groups.contains(where: { $0.checks(backend) }) {
        backend.health.note(isUp: true)
      }
    }
    var number = 0
    for group in plan.groups {
      guard let check = group.configuration.healthCheck else { continue }
      for backend in group.balancer.backends {
        let loop = poller.loops[number % poller.loops.count]
        number += 1
        loop.run { Series(backend, group, check, self).ask(on: loop) }
      }
    }
  }

  /// Callable from any thread; checks under way come to their end, and have no effect once this has
  /// returned.
  func stop() { isStopped.withLock { $0 = true } }

  /// Does something that has to be done before a stop or not at all.
  private func unlessStopped<Result>(_ body: () -> Result) -> Result? {
    isStopped.withLock { $0 ? nil : body() }
  }

  /// The checks of one backend, on one loop.
  private final class Series: ConnectionHandler {
    private let backend: Backend
    private let group: BackendGroup
    private let check: BackendGroupConfiguration.HealthCheck
    private let checker: HealthChecker
    /// Results of the same kind in a row: positive if good.
    private var streak = 0
    private var answer: [UInt8] = []
    private var hasAnswered = false

    init(
      _ backend: Backend, _ group: BackendGroup,
      _ check: BackendGroupConfiguration.HealthCheck, _ checker: HealthChecker
    ) {
      self.backend = backend
      self.group = group
      self.check = check
      self.checker = checker
    }

    func ask(on loop: EventLoop) {
      guard checker.unlessStopped({}) != nil else { return }
      answer = []
      hasAnswered = false
      let endpoint = backend.endpoints[backend.preferred.load(ordering: .relaxed)]
      let settings = ConnectionSettings(readDeadline: check.timeout, drainDeadline: check.timeout)
      Connector.connect(
        to: endpoint.address, on: loop, deadline: check.timeout, settings: settings
      ) { [self] result in
        switch result {
        case .success(let connection):
          guard let path = check.path else {
            note(isGood: true, on: loop)
            return connection.close()
          }
          connection.setHandler(self)
          let request =
            "GET \(path) HTTP/1.1\r\nHost: \(backend.hostName)\r\n"
            + "User-Agent: fdproxy-health-check\r\nConnection: close\r\n\r\n"
          connection.write(request.utf8Span.span.bytes)
        case .failure:
          note(isGood: false, on: loop)
        }
      }
    }

    func received(_ bytes: RawSpan, on connection: Connection) {
      guard !hasAnswered else { return }
      bytes.withUnsafeBytes { answer.append(contentsOf: $0) }
      let reader = HTTPHeadReader()
      do {
        guard try reader.readResponse(answer.span.bytes) != nil else { return }
        let status = reader.response(in: answer.span.bytes).status
        note(isGood: 200..<400 ~= status.rawValue, on: connection.loop)
      } catch {
        note(isGood: false, on: connection.loop)
      }
      connection.abort()
    }

    func closed(_ connection: Connection, _ reason: CloseReason) {
      if !hasAnswered { note(isGood: false, on: connection.loop) }
    }

    private enum Change { case none, well, ill }

    private func note(isGood: Bool, on loop: EventLoop) {
      hasAnswered = true
      // Of a backend that has no checks any more the next plan says that it is well.
      guard let change = checker.unlessStopped({ apply(isGood: isGood) }) else { return }
      switch change {
      case .none:
        break
      case .well:
        checker.logger.notice("a backend is well again", metadata: ["backend": "\(backend.name)"])
        backend.queues.serve()
      case .ill:
        checker.logger.warning(
          "a backend is ill and gets no requests", metadata: ["backend": "\(backend.name)"])
      }
      loop.schedule(after: check.interval) { self.ask(on: loop) }
    }

    private func apply(isGood: Bool) -> Change {
      streak = isGood ? max(streak, 0) + 1 : min(streak, 0) - 1
      let wasWell = backend.health.isWell
      guard isGood != wasWell, abs(streak) >= (isGood ? check.rise : check.fall) else {
        return .none
      }
      backend.health.note(isUp: isGood)
      return isGood ? .well : .ill
    }
  }
}

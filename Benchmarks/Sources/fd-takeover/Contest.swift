import FDNet
import FDPoller

/// Takeovers and connects in turn, on two loops that change their roles: one has all idle
/// connections, the other takes them over one by one, and then has them all.
///
/// What varies belongs to the loop that takes; it passes on in what one loop posts to the other.
final class Contest: @unchecked Sendable {
  private let poller: Poller
  private let pool: ConnectionPool
  private let server: SocketAddress
  private let count: Int
  private let idle: Int
  private let settings = ConnectionSettings()

  private var takeovers: [Duration] = []
  /// Until the new owner may write.
  private var seizures: [Duration] = []
  private var connects: [Duration] = []
  /// Of the loop with nothing to do: what is measured of a takeover has one in it.
  private var rounds: [Duration] = []
  /// Those that the taking loop has already.
  private var held: [Connection] = []
  private var failuresInARow = 0
  private var end: CheckedContinuation<ContestResult, any Error>?

  init(on poller: Poller, server: SocketAddress, count: Int, idle: Int) {
    self.poller = poller
    self.server = server
    self.count = count
    self.idle = idle
    var limits = PoolLimits()
    limits.idlePerDestination = 2 * idle
    limits.reuse = .always
    limits.idleTime = .seconds(3_600)
    limits.purgeInterval = .seconds(3_600)
    pool = ConnectionPool(on: poller, limits: limits)
  }

  /// Once.
  func run() async throws -> ContestResult {
    try await withCheckedThrowingContinuation { end in
      self.end = end
      poller.loops[0].run { self.open(on: self.poller.loops[0]) }
    }
  }

  private func open(on loop: EventLoop) {
    guard held.count < idle else { return passTurn(from: loop) }
    pool.open(server, on: loop, deadline: .seconds(5)) { result in
      switch result {
      case .success(let connection):
        self.hold(connection)
        self.open(on: loop)
      case .failure(let error):
        self.fail(error)
      }
    }
  }

  private func hold(_ connection: Connection) {
    connection.setHandler(Silence())
    held.append(connection)
  }

  private func passTurn(from loop: EventLoop) {
    for connection in held { pool.checkIn(connection) }
    held.removeAll(keepingCapacity: true)
    let other = poller.loops[1 - loop.index]
    other.run { self.takeOver(on: other) }
  }

  private func takeOver(on loop: EventLoop) {
    guard takeovers.count < count else { return finish() }
    guard held.count < idle else { return passTurn(from: loop) }
    let start = ContinuousClock.now
    guard let connection = pool.takeIdle(server, on: loop) else {
      failuresInARow += 1
      guard failuresInARow < 1_000_000 else {
        return fail(ContestError(description: "no idle connection is to be had"))
      }
      // The other loop is still about to check it in.
      loop.run { self.takeOver(on: loop) }
      return
    }
    seizures.append(start.duration(to: .now))
    failuresInARow = 0
    hold(connection)
    // The loop tells its kernel poller before its next round begins.
    loop.run {
      self.takeovers.append(start.duration(to: .now))
      self.connect(on: loop)
    }
  }

  private func connect(on loop: EventLoop) {
    let start = ContinuousClock.now
    Connector.connect(
      to: server, on: loop, deadline: .seconds(5), settings: settings
    ) { result in
      switch result {
      case .success(let connection):
        self.connects.append(start.duration(to: .now))
        connection.setHandler(Silence())
        connection.abort()
        // Its end is not part of what comes next.
        loop.run { self.passRound(on: loop) }
      case .failure(let error):
        self.fail(error)
      }
    }
  }

  private func passRound(on loop: EventLoop) {
    let start = ContinuousClock.now
    loop.run {
      self.rounds.append(start.duration(to: .now))
      self.takeOver(on: loop)
    }
  }

  private func finish() {
    guard pool.statistics.takenOver == count else {
      return fail(
        ContestError(description: "\(pool.statistics.takenOver) takeovers instead of \(count)"))
    }
    end?.resume(
      returning: ContestResult(
        seizures: seizures, takeovers: takeovers, connects: connects, rounds: rounds))
  }

  private func fail(_ error: any Error) { end?.resume(throwing: error) }
}

struct ContestError: Error, CustomStringConvertible {
  let description: String
}

/// Expects nothing.
private final class Silence: ConnectionHandler {
  func received(_ bytes: RawSpan, on connection: Connection) {}
}

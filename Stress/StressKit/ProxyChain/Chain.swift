import CShims
import FDNet
import FDPoller
import Glibc
import Synchronization

/// What all loops of one run share.
final class Chain: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let pool: ConnectionPool
  let ledgers: EndpointLedgers
  let logbook = Logbook()
  let requests: Ledger
  let counts: Counts
  private let heartbeat: Heartbeat
  private let randoms: LoopRandoms

  // Set before the first request.
  private var listeners: [Listener] = []
  private(set) var addresses: [SocketAddress] = []

  private let numbers = Atomic<UInt64>(1)

  struct Counts {
    let operations, hops, reused, stolen, retries, refusals, kept, notices, serverCloses: Tally
  }

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    // So little that loops are short of connections, steal, and purge all the time.
    var limits = PoolLimits()
    limits.reuse = .always
    limits.idlePerDestination = poller.loops.count
    limits.idleInAll = max(2, poller.loops.count / 2)
    limits.idleTime = .milliseconds(3)
    limits.purgeInterval = .milliseconds(2)
    limits.lowDescriptorRatio = 1
    // About as many as there usually are: often an idle one is closed for a new one, whoever has it.
    limits.highDescriptorRatio =
      Double(18 * poller.loops.count) / Double(poller.core.descriptorLimit)
    limits.keepsUnsolicitedBytes = true
    pool = ConnectionPool(on: poller, limits: limits)
    ledgers = EndpointLedgers(stage)
    requests = stage.ledger("every request is answered or fails, once")
    heartbeat = stage.heartbeat("requests")
    counts = Counts(
      operations: stage.count("operations"), hops: stage.count("hops"),
      reused: stage.count("reused"), stolen: stage.count("stolen"),
      retries: stage.count("closed on reuse"), refusals: stage.count("refused"),
      kept: stage.count("kept"), notices: stage.count("notices"),
      serverCloses: stage.count("closed by servers"))
    randoms = LoopRandoms(stage, of: poller)
  }

  /// On the loop.
  func random(on loop: EventLoop) -> UInt64 { randoms.next(on: loop) }

  func newNumber() -> UInt64 { numbers.add(1, ordering: .relaxed).newValue }

  func begin() throws {
    try poller.start()
    // A Unix socket's end is at its peer when the system call returns; TCP's may take a while.
    let path = "@fdstress-\(getpid())-\(fdp_monotonic_nanoseconds())"
    for address in [SocketAddress.loopback(port: 0), try .unix(path: path)] {
      let listener = try Listener(address, on: poller) { [unowned self] connection in
        ServerEnd(self, connection, isLocal: address.family == .unix)
      }
      listeners.append(listener)
    }
    addresses = listeners.map(\.address)
    for loop in poller.loops {
      for _ in 0..<4 { loop.run { [self] in startRequest(on: loop) } }
    }
  }

  // MARK: The client side

  /// A request from outside. On the loop.
  private func startRequest(on loop: EventLoop) {
    guard stage.isStormy else { return }
    requests.open()
    let content = random(on: loop)
    let exchange = Exchange(
      self, on: loop, request: newNumber(), hops: random(on: loop) % 4, content: content
    ) { [self] answer in
      requests.close()
      heartbeat.beat()
      counts.operations.add()
      auditIdle()
      if let answer, answer != ChainMessage.answer(to: content) {
        stage.violate("nobody gets another's bytes", "\(answer) answers to \(content)")
      }
      next(after: loop)
    }
    exchange.start()
  }

  private func next(after loop: EventLoop) {
    let choice = random(on: loop)
    let other = poller.loops[Int(choice >> 32) % poller.loops.count]
    if choice % 4 == 0 {
      loop.schedule(after: .microseconds(choice >> 8 % 2_000)) { [self] in startRequest(on: loop) }
    } else {
      other.run { [self] in startRequest(on: other) }
    }
  }
}

// MARK: - The pool

extension Chain {
  /// Each idle connection is counted before it is one, and leaves once.
  private func auditIdle() {
    let idle = pool.statistics.idle
    if idle < 0 { stage.violate("an idle connection leaves the pool once", "\(idle) are idle") }
  }

  func auditPool() {
    let addsUp = { (figures: PoolStatistics) in
      figures.kept
        == figures.idle + figures.reusedLocally + figures.takenOver + figures.purged + figures.stale
    }
    if !stage.comes({ addsUp(pool.statistics) }) {
      stage.violate(
        "kept = idle + reused locally + taken over + purged + stale", "\(pool.statistics)")
    }
    pool.close()
    if !stage.comes({ pool.statistics.idle == 0 && ledgers.ends.live == 0 }) {
      stage.violate(
        "what the pool does not keep is closed",
        "\(ledgers.ends.live) connections stay open, \(pool.statistics)")
    }
    let figures = pool.statistics
    stage.count("opened").add(figures.opened)
    stage.count("purged").add(figures.purged)
    let reused = counts.reused.count + counts.stolen.count
    if figures.kept != counts.kept.count {
      stage.violate("kept is counted once", "\(figures.kept) and \(counts.kept.count)")
    }
    if figures.reusedLocally + figures.takenOver != reused {
      stage.violate(
        "reused is counted once", "\(figures.reusedLocally) + \(figures.takenOver) and \(reused)")
    }
  }

  func end() {
    for listener in listeners { listener.close() }
    listeners = []
    pool.close()
    stage.wait(
      for: "\(self.ledgers.ends.live) connections do not end",
      until: { ledgers.ends.live == 0 })
    stage.stop(poller)
  }
}

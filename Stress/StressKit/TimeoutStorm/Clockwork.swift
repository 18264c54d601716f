import CShims
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// What all loops of one run share.
final class Clockwork: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let ledgers: EndpointLedgers
  let timers: Ledger
  let connects: Ledger
  let operations: Tally
  let timeouts: Tally
  let randoms: LoopRandoms
  private let connectTimeouts: Tally
  private let numbers = Atomic<UInt64>(1)
  private let hole: BlackHole

  // Set before the first connection.
  private var listeners: [Listener] = []
  /// One for each loop.
  private var benches: [TimerBench] = []

  init(_ stage: Stage) throws {
    self.stage = stage
    hole = BlackHole()
    poller = try stage.makePoller()
    ledgers = EndpointLedgers(stage)
    timers = stage.ledger("every timer is called or cancelled, once")
    connects = stage.ledger("every attempt to connect is told of, once")
    operations = stage.count("operations")
    timeouts = stage.count("deadlines passed")
    connectTimeouts = stage.count("connects timed out")
    randoms = LoopRandoms(stage, of: poller)
  }

  func newNumber() -> UInt64 { numbers.add(1, ordering: .relaxed).newValue }

  func begin() throws {
    try poller.start()
    try hole.open()
    var random = stage.random(for: "settings")
    let path = "@fdstress-\(getpid())-\(fdp_monotonic_nanoseconds())"
    for number in 0..<6 {
      let address =
        number % 2 == 0 ? SocketAddress.loopback(port: 0) : try .unix(path: path + "-\(number)")
      let settings = Self.settings(&random)
      listeners.append(
        try Listener(address, on: poller, settings: settings) { [unowned self] connection in
          TimedEnd(self, connection, identity: 0)
        })
    }
    benches = poller.loops.map { TimerBench($0, self) }
    let share = max(2, 96 / poller.loops.count)
    for (loop, bench) in zip(poller.loops, benches) {
      loop.run { [self] in
        bench.step()
        for _ in 0..<share { connect(on: loop) }
        attempt(on: loop)
      }
    }
  }

  /// Deadlines of 1 ms to 20 ms; each connection has one that ends it while it reads.
  private static func settings(_ random: inout SplitMix) -> ConnectionSettings {
    func deadline() -> Duration { .microseconds(1_000 + random.next() % 19_000) }
    let choice = random.next()
    return ConnectionSettings(
      highWatermark: 32 << 10, lowWatermark: 8 << 10,
      idleDeadline: choice % 3 != 1 ? deadline() : nil,
      readDeadline: choice % 3 != 0 ? deadline() : nil,
      writeDeadline: choice >> 8 % 2 == 0 ? deadline() : nil, drainDeadline: deadline())
  }

  // MARK: Connections

  /// One more connection of this loop. On the loop.
  func connect(on loop: EventLoop) {
    guard stage.isStormy else { return }
    let choice = randoms.next(on: loop)
    var random = SplitMix(seed: choice, name: "settings")
    let address = listeners[Int(choice % UInt64(listeners.count))].address
    connects.open()
    _ = Connector.connect(
      to: address, on: loop, deadline: stage.parameters.patience * 3,
      settings: Self.settings(&random)
    ) { [self] result in
      connects.close()
      switch result {
      case .success(let connection):
        let end = TimedEnd(self, connection, identity: newNumber())
        connection.setHandler(end)
      case .failure(let error):
        noteFailure(error)
        connectLater(on: loop)
      }
    }
  }

  /// In the place of one that has gone. On the loop.
  func connectLater(on loop: EventLoop) {
    let delay = randoms.next(on: loop) % 4_000
    loop.schedule(after: .microseconds(delay)) { [self] in connect(on: loop) }
  }

  private func noteFailure(_ error: ConnectError) {
    switch error.cause {
    // Descriptors, ports and queues are finite.
    case .refused(.tooManyOpenFiles), .refused(.tooManyOpenFilesInSystem),
      .refused(.addressNotAvailable), .refused(.resourceTemporarilyUnavailable),
      .poller(.numberTooLarge):
      break
    // Its peer has ended it before this loop has heard that it was made.
    case .refused(.connectionReset), .refused(.brokenPipe): break
    case .refused, .poller, .timedOut, .cancelled:
      stage.violate("a connect fails for a reason that is known", "\(error)")
    }
  }

  // MARK: Attempts to connect to nobody

  /// One attempt that comes to nothing: its deadline passes, or it is aborted at about that time.
  private func attempt(on loop: EventLoop) {
    guard stage.isStormy else { return }
    let choice = randoms.next(on: loop)
    let deadline = Duration.microseconds(1_000 + choice % 19_000)
    let began = EventLoop.clock()
    let state = Attempt()
    connects.open()
    operations.add()
    let connection = Connector.connect(
      to: hole.address, on: loop, deadline: deadline, settings: ConnectionSettings()
    ) { [self] result in
      connects.close()
      if state.isOver { stage.violate("an attempt to connect is told of once", "\(result)") }
      state.isOver = true
      switch result {
      case .success(let connection):
        connection.abort()
      case .failure(let error):
        check(error, state, took: EventLoop.clock() - began, deadline)
      }
      loop.schedule(after: .microseconds(choice >> 32 % 2_000)) { [self] in attempt(on: loop) }
    }
    if let connection, choice >> 16 % 2 == 0 {
      loop.schedule(after: .microseconds(choice >> 24 % 20_000)) {
        guard !state.isOver else { return }
        state.isAborted = true
        connection.abort()
      }
    }
  }

  private final class Attempt {
    var isOver = false
    var isAborted = false
  }

  private func check(
    _ error: ConnectError, _ state: Attempt, took nanoseconds: UInt64, _ deadline: Duration
  ) {
    switch error.cause {
    case .timedOut:
      connectTimeouts.add()
      if nanoseconds < deadline.wholeNanoseconds {
        stage.violate(
          "no deadline passes early", "connect: \(nanoseconds / 1_000) us of \(deadline)")
      }
    case .cancelled where state.isAborted: break
    case .refused, .poller, .cancelled: noteFailure(error)
    }
  }

  func end() {
    for listener in listeners { listener.close() }
    listeners = []
    benches = []
    hole.close()
    stage.stop(poller)
  }
}

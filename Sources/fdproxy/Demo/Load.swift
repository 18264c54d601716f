import FDNet
import FDPoller
import Glibc
import Logging
import Synchronization

/// What a load has counted. Its own loop writes, anybody reads.
final class LoadCount: Sendable {
  let roundTrips = Atomic(0)
  let opened = Atomic(0)
  let closed = Atomic(0)
  /// Connections that the load itself reset.
  let resets = Atomic(0)
  /// Answers that were wrong, and connections that ended by themselves or could not be made.
  let failures = Atomic(0)
}

/// Clients of the demo: each makes a connection, exchanges messages with an echo server, ends the
/// connection in one way or the other, and begins again.
///
/// They begin again in waves, many at the same moment: some of the proxy's loops get more of them
/// than they have spare connections, and help themselves at the others.
final class Load: @unchecked Sendable {
  let count = LoadCount()
  private let poller: Poller
  private let address: SocketAddress
  private let connections: Int
  private let isFinishing = Atomic(false)
  private let settings = ConnectionSettings(idleDeadline: .seconds(5))
  /// The clients that wait for the next wave. On the loop.
  private var waiting: [SplitMix] = []

  private static let timeBetweenWaves = Duration.milliseconds(50)

  /// What messages are cut from; any bytes will do, as long as a wrong answer shows.
  private let bytes: [UInt8] = {
    var random = SplitMix(seed: 1)
    return (0..<LoadClient.longestMessage * 2).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }()

  init(against address: SocketAddress, connections: Int) throws {
    var configuration = PollerConfiguration(threads: 1)
    configuration.name = "load"
    configuration.logger = .toStandardError(label: "load", level: .error)
    poller = try Poller(configuration)
    self.address = address
    self.connections = connections
    try poller.start()
  }

  func begin() {
    let loop = poller.loops[0]
    loop.run {
      self.waiting = (0..<self.connections).map { SplitMix(seed: UInt64($0)) }
      self.wave(on: loop)
    }
  }

  /// Lets every client finish its exchange.
  ///
  /// - Returns: how many have not after some seconds.
  func finish() -> Int {
    isFinishing.store(true, ordering: .relaxed)
    let end = ContinuousClock.now + .seconds(10)
    while open > 0 && ContinuousClock.now < end { usleep(1_000) }
    return open
  }

  func stop() throws { try poller.stop() }

  var open: Int {
    count.opened.load(ordering: .relaxed) - count.closed.load(ordering: .relaxed)
  }

  private func wave(on loop: EventLoop) {
    guard !isFinishing.load(ordering: .relaxed) else { return }
    let clients = waiting
    waiting.removeAll()
    for client in clients { connect(client, on: loop) }
    loop.schedule(after: Self.timeBetweenWaves) { self.wave(on: loop) }
  }

  private func connect(_ random: SplitMix, on loop: EventLoop) {
    count.opened.add(1, ordering: .relaxed)
    Connector.connect(to: address, on: loop, deadline: .seconds(5), settings: settings) { result in
      switch result {
      case .success(let connection):
        let client = LoadClient(self.bytes, random, self.count) { self.ended($0.random) }
        connection.setHandler(client)
        client.ask(connection)
      case .failure:
        self.count.failures.add(1, ordering: .relaxed)
        self.ended(random)
      }
    }
  }

  private func ended(_ random: SplitMix) {
    count.closed.add(1, ordering: .relaxed)
    waiting.append(random)
  }
}

/// One connection of the load.
private final class LoadClient: ConnectionHandler {
  static let longestMessage = 2048
  private static let mostExchanges = 100

  private(set) var random: SplitMix
  private let bytes: [UInt8]
  private let count: LoadCount
  private let whenClosed: (LoadClient) -> Void
  private var exchangesLeft: Int
  /// The part of `bytes` that has been sent and not come back yet.
  private var expected = 0..<0
  private var isEnding = false

  init(
    _ bytes: [UInt8], _ random: SplitMix, _ count: LoadCount,
    whenClosed: @escaping (LoadClient) -> Void
  ) {
    self.bytes = bytes
    self.random = random
    self.count = count
    self.whenClosed = whenClosed
    exchangesLeft = Int.random(in: 1...Self.mostExchanges, using: &self.random)
  }

  func ask(_ connection: Connection) {
    let length = Int.random(in: 1...Self.longestMessage, using: &random)
    let start = Int.random(in: 0...bytes.count - length, using: &random)
    expected = start..<start + length
    connection.write(bytes[expected].span.bytes)
  }

  func received(_ answer: RawSpan, on connection: Connection) {
    let isRight =
      answer.byteCount <= expected.count
      && answer.withUnsafeBytes { answer in
        bytes[expected].withUnsafeBytes {
          memcmp(answer.baseAddress!, $0.baseAddress!, answer.count) == 0
        }
      }
    guard isRight else { return connection.abort() }
    expected.removeFirst(answer.byteCount)
    guard expected.isEmpty else { return }
    count.roundTrips.add(1, ordering: .relaxed)
    exchangesLeft -= 1
    if exchangesLeft > 0 { ask(connection) } else { end(connection) }
  }

  /// A quarter ends with a reset; the others say that they are done and wait for the other side.
  private func end(_ connection: Connection) {
    isEnding = true
    if Int.random(in: 0..<4, using: &random) == 0 {
      count.resets.add(1, ordering: .relaxed)
      connection.abort()
    } else {
      connection.finishOutput()
    }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    let isExpected = isEnding && (reason == .finished || reason == .aborted)
    if !isExpected { count.failures.add(1, ordering: .relaxed) }
    whenClosed(self)
  }
}

/// The generator of Steele, Lea and Flood (SplitMix64): small, and the same every time.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

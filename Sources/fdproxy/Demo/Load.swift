import FDHTTP
import FDNet
import FDPoller
import Glibc
import Logging
import Synchronization

/// What a load has counted. Its own loop writes, anybody reads.
final class LoadCount: Sendable {
  let answers = Atomic(0)
  let opened = Atomic(0)
  let closed = Atomic(0)
  /// Connections that the load itself reset.
  let resets = Atomic(0)
  /// Posts that the proxy answered with 502: the origin had closed the connection in the very moment,
  /// and a post must not be repeated.
  let unlucky = Atomic(0)
  /// Answers that were wrong, and connections that ended by themselves or could not be made.
  let failures = Atomic(0)
}

/// Clients of the demo: each makes a connection, asks for this and that, ends the connection in one
/// way or the other, and begins again.
///
/// They begin again in waves, many at the same moment: some of the proxy's loops get more of them
/// than they have idle connections to the origins, and help themselves at the others.
final class Load: @unchecked Sendable {
  let count = LoadCount()
  private let poller: Poller
  private let address: SocketAddress
  private let connections: Int
  private let isFinishing = Atomic(false)
  private let settings = ConnectionSettings(idleDeadline: .seconds(5))
  private let reader = HTTPHeadReader()
  /// The clients that wait for the next wave. On the loop.
  private var waiting: [SplitMix] = []

  private static let timeBetweenWaves = Duration.milliseconds(50)

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
        let client = LoadClient(self.reader, random, self.count) { self.ended($0.random) }
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

/// One connection of the load: a request, its answer, the next request.
private final class LoadClient: ConnectionHandler {
  private static let mostExchanges = 100

  private(set) var random: SplitMix
  private let reader: HTTPHeadReader
  private let count: LoadCount
  private let whenClosed: (LoadClient) -> Void
  private var exchangesLeft: Int
  private var isPost = false
  /// The part of the demo's bytes that has not come back yet.
  private var expected = 0..<0
  /// Nil until the answer's head has come.
  private var body: HTTPBodyReader?
  private var pending: [UInt8] = []
  private var isEnding = false

  init(
    _ reader: HTTPHeadReader, _ random: SplitMix, _ count: LoadCount,
    whenClosed: @escaping (LoadClient) -> Void
  ) {
    self.reader = reader
    self.random = random
    self.count = count
    self.whenClosed = whenClosed
    exchangesLeft = Int.random(in: 1...Self.mostExchanges, using: &self.random)
  }

  func ask(_ connection: Connection) {
    let length = Int.random(in: 1...DemoBytes.longest, using: &random)
    let start = Int.random(in: 0...DemoBytes.all.count - length, using: &random)
    expected = start..<start + length
    isPost = Int.random(in: 0..<10, using: &random) == 0
    var request = isPost ? "POST /" : "GET /bytes/\(start)/\(length)"
    request += " HTTP/1.1\r\nHost: demo\r\n"
    request += isPost ? "Content-Length: \(length)\r\n\r\n" : "\r\n"
    connection.write(request.utf8Span.span.bytes)
    let bytes = DemoBytes.all
    if isPost { connection.write(bytes.span.bytes.extracting(expected)) }
  }

  func received(_ bytes: RawSpan, on connection: Connection) {
    bytes.withUnsafeBytes { pending.append(contentsOf: $0) }
    do {
      try read(connection)
    } catch {
      connection.abort()
    }
  }

  private func read(_ connection: Connection) throws {
    let bytes = pending
    var offset = 0
    while offset < bytes.count {
      if body == nil {
        let rest = bytes.span.bytes.extracting(offset...)
        guard let count = try reader.readResponse(rest) else { break }
        let head = reader.response(in: rest)
        offset += count
        if isPost && head.status == .badGateway { return beUnlucky(connection) }
        guard head.status == .ok else { throw WrongAnswer() }
        body = HTTPBodyReader(head.framing(answering: isPost ? .post : .get))
      }
      switch try body?.next(bytes.span.bytes, from: offset, trailers: reader) {
      case .data(let range):
        try check(bytes[range])
        offset = range.upperBound
        if body?.isComplete == true { answered(connection) }
      case .end(let end):
        offset = end
        answered(connection)
      case .incomplete, nil:
        offset = bytes.count
      }
    }
    pending.removeFirst(min(offset, pending.count))
  }

  private struct WrongAnswer: Error {}

  private func check(_ answer: ArraySlice<UInt8>) throws {
    guard answer.count <= expected.count,
      answer.elementsEqual(DemoBytes.all[expected.prefix(answer.count)])
    else { throw WrongAnswer() }
    expected.removeFirst(answer.count)
  }

  private func answered(_ connection: Connection) {
    guard expected.isEmpty else { return connection.abort() }
    body = nil
    count.answers.add(1, ordering: .relaxed)
    exchangesLeft -= 1
    if exchangesLeft > 0 { ask(connection) } else { end(connection) }
  }

  private func beUnlucky(_ connection: Connection) {
    count.unlucky.add(1, ordering: .relaxed)
    end(connection)
  }

  /// A quarter ends with a reset; the others close in order.
  private func end(_ connection: Connection) {
    isEnding = true
    if Int.random(in: 0..<4, using: &random) == 0 {
      count.resets.add(1, ordering: .relaxed)
      connection.abort()
    } else {
      connection.close()
    }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    let isExpected = isEnding && (reason == .finished || reason == .aborted)
    if !isExpected { count.failures.add(1, ordering: .relaxed) }
    whenClosed(self)
  }
}

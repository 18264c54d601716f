import FDNet
import FDPoller

/// Answers each line of one client with what the server behind says to it.
final class Client: ConnectionHandler {
  private let gateway: Gateway
  private var question: [UInt8] = []
  private var upstream: Connection?
  private var isGone = false

  init(of gateway: Gateway) { self.gateway = gateway }

  func received(_ bytes: RawSpan, on connection: Connection) {
    bytes.withUnsafeBytes { question += $0 }
    guard question.count <= 4096 else { return connection.abort() }
    guard let end = question.firstIndex(of: UInt8(ascii: "\n")) else { return }
    // A client waits for its answer.
    guard end == question.count - 1 else { return connection.abort() }
    connection.pauseReading()
    gateway.pool.checkOut(gateway.server, on: connection.loop, deadline: .seconds(2)) {
      switch $0 {
      case .success(let upstream): self.ask(upstream, for: connection)
      case .failure: connection.abort()
      }
    }
  }

  private func ask(_ upstream: Connection, for connection: Connection) {
    guard !isGone else { return upstream.abort() }
    self.upstream = upstream
    upstream.setHandler(Answer(to: self, connection, gateway.pool))
    upstream.write(question.span.bytes)
    question.removeAll(keepingCapacity: true)
  }

  func isAnswered(on connection: Connection) {
    upstream = nil
    if !connection.isCongested { connection.resumeReading() }
  }

  func drained(_ connection: Connection) {
    if upstream == nil { connection.resumeReading() }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    isGone = true
    upstream?.abort()
  }
}

/// Passes an answer on: a line.
final class Answer: ConnectionHandler {
  private let client: Client
  private let connection: Connection
  private let pool: ConnectionPool
  private var isComplete = false

  init(to client: Client, _ connection: Connection, _ pool: ConnectionPool) {
    (self.client, self.connection, self.pool) = (client, connection, pool)
  }

  func received(_ bytes: RawSpan, on upstream: Connection) {
    connection.write(bytes)
    guard bytes.unsafeLoad(fromByteOffset: bytes.byteCount - 1, as: UInt8.self) == 10 else {
      return
    }
    isComplete = true
    pool.checkIn(upstream)
    client.isAnswered(on: connection)
  }

  func closed(_ upstream: Connection, _ reason: CloseReason) {
    if !isComplete { connection.abort() }
  }
}

/// What the clients share.
final class Gateway: Sendable {
  let pool: ConnectionPool
  let server: SocketAddress

  init(to server: SocketAddress, on poller: Poller) {
    var limits = PoolLimits()
    limits.idlePerDestination = 64
    limits.idleTime = .seconds(30)
    pool = ConnectionPool(
      on: poller, limits: limits, settings: ConnectionSettings(readDeadline: .seconds(10)))
    self.server = server
  }
}

let addresses = try CommandLine.arguments.dropFirst().map { try SocketAddress(parsing: $0) }
guard addresses.count == 2 else { fatalError("usage: Gateway ADDRESS SERVER") }
let poller = try Poller(PollerConfiguration(threads: 2))
try poller.start()
let gateway = Gateway(to: addresses[1], on: poller)
let settings = ConnectionSettings(
  highWatermark: 64 << 10, lowWatermark: 16 << 10, idleDeadline: .seconds(60),
  writeDeadline: .seconds(10))
let listener = try Listener(addresses[0], on: poller, settings: settings) { _ in
  Client(of: gateway)
}
print("asking \(gateway.server) on \(listener.address) until the input ends")
while readLine() != nil {}
listener.close()
gateway.pool.close()
try poller.stop()

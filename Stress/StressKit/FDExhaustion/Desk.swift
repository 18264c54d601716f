import FDDelays
import FDNet
import FDPoller
import SystemPackage

/// What the two sides of a service count.
final class Desk: Sendable {
  let stage: Stage
  let operations: Tally
  let served: Tally
  let turnedAway: Tally
  let refused: Tally
  /// A request has one end: served, turned away, or refused a descriptor.
  let requests: Ledger
  let connections: Ledger
  let objects: Ledger

  init(_ stage: Stage) {
    self.stage = stage
    operations = stage.count("operations")
    served = stage.count("served")
    turnedAway = stage.count("turned away")
    refused = stage.count("refused a descriptor")
    requests = stage.ledger("every request has one end")
    connections = stage.ledger("every connection is closed once")
    objects = stage.ledger("no handler is left")
  }

  func server() -> any ConnectionHandler { DeskServer(self) }
}

/// Sends everything back.
private final class DeskServer: ConnectionHandler {
  private let desk: Desk
  private var isClosed = false

  init(_ desk: Desk) {
    self.desk = desk
    desk.connections.open()
    desk.objects.open()
  }

  deinit { desk.objects.close() }

  func received(_ bytes: RawSpan, on connection: Connection) { connection.write(bytes) }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    if isClosed { desk.stage.violate("every connection is closed once", "\(reason)") }
    isClosed = true
    desk.connections.close()
  }
}

/// Connects, asks, waits for the answer, hangs up, and begins again. On its loop.
final class DeskClient: ConnectionHandler {
  private let desk: Desk
  private let address: SocketAddress
  private let loop: EventLoop
  private let heartbeat: Heartbeat
  private var random: SplitMix
  private var question: UInt64 = 0
  private var answer: [UInt8] = []
  private var isOnce = false

  init(
    _ desk: Desk, to address: SocketAddress, on loop: EventLoop, name: String,
    _ heartbeat: Heartbeat
  ) {
    self.desk = desk
    self.address = address
    self.loop = loop
    self.heartbeat = heartbeat
    random = desk.stage.random(for: name)
    desk.objects.open()
  }

  deinit { desk.objects.close() }

  func goOn(once: Bool = false) {
    isOnce = once
    heartbeat.beat()
    guard desk.stage.isStormy || once else { return }
    desk.operations.add()
    desk.requests.open()
    question = random.next()
    answer = []
    // No deadline: who is queued while the server has no descriptor waits for it.
    Connector.connect(to: address, on: loop, deadline: nil, settings: ConnectionSettings()) {
      switch $0 {
      case .success(let connection):
        self.desk.connections.open()
        connection.setHandler(self)
        withUnsafeBytes(of: self.question) { _ = connection.write($0) }
      case .failure(let error):
        self.refused(error)
      }
    }
  }

  private func refused(_ error: ConnectError) {
    switch error.cause {
    case .refused(.tooManyOpenFiles): desk.refused.add()
    // Turned away in the very moment of the connect.
    case .refused(.connectionReset): desk.turnedAway.add()
    default: desk.stage.violate("a connect fails for want of descriptors only", "\(error)")
    }
    finish()
  }

  func received(_ bytes: RawSpan, on connection: Connection) {
    bytes.withUnsafeBytes { answer.append(contentsOf: $0) }
    guard answer.count >= 8 else { return }
    if answer.withUnsafeBytes({ $0.loadUnaligned(as: UInt64.self) }) != question {
      desk.stage.violate("bytes stay on their connection", "\(answer)", connection.handle)
    }
    if random.next() % 2 == 0 { connection.close() } else { connection.abort() }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    desk.connections.close()
    if answer.count == 8 {
      desk.served.add()
    } else if answer.isEmpty && (reason == .finished || reason == .failed(.connectionReset)) {
      desk.turnedAway.add()
    } else {
      desk.stage.violate("a request is served or turned away", "\(reason)", connection.handle)
    }
    finish()
  }

  private func finish() {
    desk.requests.close()
    guard !isOnce else { return }
    loop.schedule(after: .microseconds(random.next() % 10_000)) { self.goOn() }
  }
}

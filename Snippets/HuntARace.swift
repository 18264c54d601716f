import FDDelays
import FDNet
import FDPoller
import Glibc
import StressKit
import Synchronization

/// Your server: the byte that a client sends first is its seat, which it then has for itself.
final class Theatre: Sendable {
  private let taken = Mutex<Set<UInt8>>([])
  private let isCareless: Bool

  init(isCareless: Bool) { self.isCareless = isCareless }

  /// Whether the seat was free, and is the caller's now.
  func take(_ seat: UInt8) -> Bool {
    guard isCareless else { return taken.withLock { $0.insert(seat).inserted } }
    guard !taken.withLock({ $0.contains(seat) }) else { return false }
    ThreadDelays.pass("the seat is free, and about to be taken")
    taken.withLock { _ = $0.insert(seat) }
    return true
  }

  func leave(_ seat: UInt8) { taken.withLock { _ = $0.remove(seat) } }
}

/// One client's side of the server, which also keeps the ledgers.
final class Usher: ConnectionHandler {
  private let evening: Evening
  private var seat: UInt8?

  init(_ evening: Evening) { self.evening = evening }

  func received(_ bytes: RawSpan, on connection: Connection) {
    let wish = bytes.unsafeLoad(as: UInt8.self)
    guard seat == nil, evening.theatre.take(wish) else { return connection.close() }
    seat = wish
    evening.sit(on: wish, connection.handle)
    connection.loop.schedule(after: .microseconds(200)) { connection.close() }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    guard let seat else { return }
    evening.rise(from: seat)
    evening.theatre.leave(seat)
  }
}

/// The client's side: when the server has hung up it comes again.
final class Guest: ConnectionHandler {
  private let comeAgain: () -> Void

  init(_ comeAgain: @escaping () -> Void) { self.comeAgain = comeAgain }

  func received(_ bytes: RawSpan, on connection: Connection) {}
  func closed(_ connection: Connection, _ reason: CloseReason) { comeAgain() }
}

/// The scenario: clients come and go, and there are fewer seats than clients.
final class Evening: StressScenario, Sendable {
  static let name = "evening"
  static let summary = "clients take seats, each of which is one client's"
  static let isCareless = CommandLine.arguments.contains("careless")

  let theatre = Theatre(isCareless: isCareless)
  private let stage: Stage
  private let poller: Poller
  private let visits: Tally
  private let connects: Ledger
  private let sitting = Mutex<[UInt8: Int]>([:])

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    visits = stage.count("operations")
    connects = stage.ledger("every connect is answered")
  }

  func begin() throws {
    try poller.start()
    let listener = try Listener(.loopback(port: 0), on: poller) { _ in Usher(self) }
    for loop in poller.loops {
      let heartbeat = stage.heartbeat(loop.name)
      for _ in 0..<2 { loop.run { self.visit(listener.address, on: loop, heartbeat) } }
    }
  }

  private func visit(_ address: SocketAddress, on loop: EventLoop, _ heartbeat: Heartbeat) {
    heartbeat.beat()
    guard stage.isStormy else { return }
    connects.open()
    Connector.connect(to: address, on: loop, deadline: .seconds(5), settings: ConnectionSettings())
    {
      self.connects.close()
      guard case .success(let connection) = $0 else { return }
      connection.setHandler(Guest { self.visit(address, on: loop, heartbeat) })
      let seat = UInt8(self.visits.add() % 3)
      withUnsafeBytes(of: seat) { _ = connection.write($0) }
    }
  }

  /// The ledger of seats.
  func sit(on seat: UInt8, _ handle: FDHandle) {
    let others = sitting.withLock { seats in
      defer { seats[seat, default: 0] += 1 }
      return seats[seat, default: 0]
    }
    if others > 0 {
      stage.violate("a seat is one client's", "seat \(seat) has \(others + 1)", handle)
    }
  }

  func rise(from seat: UInt8) { sitting.withLock { $0[seat, default: 0] -= 1 } }

  func calm() { stage.drainMail(of: poller) }
  func audit() {}
  func end() { stage.stop(poller) }
}

var parameters = StressParameters(duration: .seconds(3), threads: 4, seed: 1)
parameters.delays = DelayPlan(at: [.own], chance: 0.2, seed: parameters.seed)
let report = try StressRun.run(Evening.self, parameters)
for line in report.complaints + report.threads { print(line) }
print("\(report.scenario): \(report.verdict.rawValue)")
exit(report.verdict == .clean ? 0 : 1)

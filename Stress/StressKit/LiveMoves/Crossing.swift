import FDDelays
import FDHTTP
import FDNet
import FDPoller
import Glibc
import Logging
import ReverseProxy
import Synchronization

/// What all loops of one run share: clients, a proxy, two origins.
final class Crossing: @unchecked Sendable {
  static let originCount: UInt64 = 2
  private static let clientsPerLoop = 6

  let stage: Stage
  let poller: Poller
  let ledgers: EndpointLedgers
  let requests: Ledger
  let operations: Tally
  private let answers: Tally
  private let heartbeat: Heartbeat
  private let randoms: LoopRandoms
  private let numbers = Atomic<UInt64>(0)
  private let drains = Tally()

  // Set before the first client comes.
  private var origins: [HTTPServer] = []
  private(set) var proxy: HTTPProxy?
  private var address = SocketAddress.loopback(port: 0)

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    ledgers = EndpointLedgers(stage)
    requests = stage.ledger("requests sent = answers got")
    operations = stage.count("operations")
    answers = stage.count("answers")
    heartbeat = stage.heartbeat("requests")
    randoms = LoopRandoms(stage, of: poller)
  }

  /// On the loop.
  func random(on loop: EventLoop) -> UInt64 { randoms.next(on: loop) }

  func newNumber() -> UInt64 { numbers.add(1, ordering: .relaxed).newValue }

  func noteAnswer() {
    requests.close()
    answers.add()
    operations.add()
    heartbeat.beat()
  }

  func begin() throws {
    try poller.start()
    for name in 0..<Self.originCount {
      origins.append(
        try HTTPServer(.loopback(port: 0), on: poller) { [unowned self] in
          AnsweringOrigin(name, self)
        })
    }
    let group = BackendGroupConfiguration(
      name: "origins", backends: origins.map { NamedAddress($0.address) })
    var configuration = HTTPProxyConfiguration(
      listen: [NamedAddress(.loopback(port: 0))], groups: [group])
    configuration.pool.reuse = .always
    let logger = Logger(label: "live-moves") { _ in SwiftLogNoOpLogHandler() }
    let proxy = HTTPProxy(configuration, on: poller, logger) { [drains] in drains.add() }
    self.proxy = proxy
    address = try proxy.listen()[0]
    for loop in poller.loops {
      for _ in 0..<Self.clientsPerLoop { loop.run { [self] in startClient(on: loop) } }
    }
    stage.startThread("mover") { [unowned self] in shuffle(&$0) }
  }

  // MARK: Clients

  /// On the loop.
  private func startClient(on loop: EventLoop) {
    guard stage.isStormy else { return }
    Connector.connect(to: address, on: loop, deadline: nil, settings: ConnectionSettings()) {
      [self] result in
      switch result {
      case .success(let connection):
        let client = AskingClient(self, on: connection)
        connection.setHandler(client)
        client.goOn(on: connection)
      case .failure(let error):
        stage.violate("nobody is refused", "\(error)")
      }
    }
  }

  /// On the loop that it was on.
  func clientIsGone(on loop: EventLoop) {
    let next = poller.loops[Int(random(on: loop) >> 8) % poller.loops.count]
    next.run { [self] in startClient(on: next) }
  }

  // MARK: Moves

  private var services: [HTTPService] {
    origins.map(\.service) + (proxy.map { [$0.service] } ?? [])
  }

  /// Sends some from one loop to another. On a thread of its own.
  private func shuffle(_ random: inout SplitMix) {
    guard let service = services.randomElement(using: &random),
      let origin = poller.loops.randomElement(using: &random),
      let destination = poller.loops.randomElement(using: &random)
    else { return }
    service.move(1 + Int(random.next() % 8), from: origin, to: destination)
    usleep(UInt32(random.next() % 400))
  }

  private var moves: Int { services.reduce(0) { $0 + $1.statistics.moves } }

  // MARK: Afterwards

  func audit() {
    let moves = moves
    stage.count("moves").add(moves)
    operations.add(moves)
    if moves == 0 && poller.loops.count > 1 && answers.count > 1_000 {
      stage.violate("clients are moved", "none is")
    }
    guard let http = proxy?.service.statistics else { return }
    if http.requests != answers.count || http.refused + http.timeouts + http.cancelled > 0 {
      stage.violate("the proxy counts what there is", "\(http), and \(answers.count) answers")
    }
  }

  /// Clients first, then the proxy, then the origins.
  func end() {
    stage.wait(
      for: "\(self.ledgers.ends.live) clients do not end", until: { ledgers.ends.live == 0 })
    proxy?.drain()
    stage.wait(for: "the proxy does not drain", until: { proxy == nil || drains.count == 1 })
    for origin in origins { origin.drain() }
    stage.wait(
      for: "connections to origins do not end",
      until: { origins.allSatisfy { $0.service.statistics.connections == 0 } })
    stage.auditSilence(of: poller)
    stage.stop(poller)
    (proxy, origins) = (nil, [])
  }
}

import CShims
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization

/// What all loops and clients of one run share.
final class Shore: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let ledgers: EndpointLedgers
  let operations: Tally
  let reasons: Reasons
  let randoms: LoopRandoms
  private let identities = Atomic<UInt64>(1)
  private let refusals: Tally
  private let accepted: Tally

  // Set before the first client.
  private var listener: Listener?
  private(set) var address = SocketAddress.loopback(port: 0)
  private var clients: [RudeClient] = []

  /// How connections have ended.
  struct Reasons {
    let resets, brokenPipes, finished, aborted: Tally
  }

  private static let clientThreads = 4
  private static let clientsPerThread = 8

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    ledgers = EndpointLedgers(stage)
    operations = stage.count("operations")
    accepted = stage.count("accepted")
    refusals = stage.count("refused")
    reasons = Reasons(
      resets: stage.count("resets"), brokenPipes: stage.count("broken pipes"),
      finished: stage.count("finished"), aborted: stage.count("aborted"))
    randoms = LoopRandoms(stage, of: poller)
  }

  func newIdentity() -> UInt64 { identities.add(1, ordering: .relaxed).newValue }

  func begin() throws {
    try poller.start()
    let settings = ConnectionSettings(
      highWatermark: 64 << 10, lowWatermark: 16 << 10, drainDeadline: .milliseconds(50))
    let listener = try Listener(
      .loopback(port: 0), on: poller, settings: settings
    ) { [unowned self] connection in
      accepted.add()
      return ShoreEnd(self, connection)
    }
    self.listener = listener
    address = listener.address
    for number in 0..<Self.clientThreads {
      let clients = (0..<Self.clientsPerThread).map { _ in RudeClient(self) }
      self.clients += clients
      stage.startThread("client-\(number)") { random in
        let index = Int(random.next() % UInt64(clients.count))
        clients[index].act(&random)
        switch random.next() % 32 {
        case 0: usleep(UInt32(random.next() % 500))
        case 1..<8: sched_yield()
        default: break
        }
      }
    }
  }

  /// The kernel is out of something for a while.
  func noteRefusal(_ result: Int32) {
    switch -result {
    case EMFILE, ENFILE, EADDRNOTAVAIL, EAGAIN, ENOBUFS, ENOMEM: refusals.add()
    default: stage.violate("a listener takes every client", "connect(2) says \(-result)")
    }
    usleep(1_000)
  }

  /// The threads of the clients have ended.
  func dropClients() {
    for client in clients { client.reset() }
  }

  /// Clients that wait for their echo, so many that every loop should have some.
  func auditListener() {
    var random = stage.random(for: "audit")
    for number in 0..<4 * poller.loops.count {
      let client = RudeClient(self)
      var isAnswered = false
      _ = stage.comes {
        isAnswered = client.asks(&random)
        return isAnswered
      }
      client.reset()
      if !isAnswered {
        stage.violate("the listener goes on", "client \(number) after the storm is not answered")
        return
      }
    }
    if !stage.comes({ ledgers.ends.live == 0 }) {
      stage.violate("a reset is heard", "\(ledgers.ends.live) connections outlive their clients")
    }
  }

  func end() {
    listener?.close()
    listener = nil
    stage.stop(poller)
  }
}

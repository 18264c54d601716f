import CShims
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// What all loops of one run share.
final class Canal: @unchecked Sendable {
  let stage: Stage
  let poller: Poller
  let ledgers: EndpointLedgers
  let sessions: Ledger
  let operations: Tally
  let excursions: Tally
  let bytesRead: Tally
  let randoms: LoopRandoms
  let heartbeat: Heartbeat
  private let identities = Atomic<UInt64>(1)
  /// From tight to roomy.
  private let settings: [ConnectionSettings]

  // Set before the first connection.
  private var listeners: [Listener] = []

  init(_ stage: Stage) throws {
    self.stage = stage
    poller = try stage.makePoller()
    ledgers = EndpointLedgers(stage)
    sessions = stage.ledger("every sender comes to its end")
    operations = stage.count("operations")
    excursions = stage.count("times above the watermark")
    bytesRead = stage.count("bytes read")
    randoms = LoopRandoms(stage, of: poller)
    heartbeat = stage.heartbeat("writes and reads")
    let patience = stage.parameters.patience * 3
    settings = [(1, 0), (4 << 10, 1 << 10), (16 << 10, 15 << 10), (64 << 10, 8 << 10)].map {
      ConnectionSettings(highWatermark: $0, lowWatermark: $1, drainDeadline: patience)
    }
  }

  func newIdentity() -> UInt64 { identities.add(1, ordering: .relaxed).newValue & 0xFFFF_FFFF }

  func begin() throws {
    try poller.start()
    let path = "@fdstress-\(getpid())-\(fdp_monotonic_nanoseconds())"
    for address in [SocketAddress.loopback(port: 0), try .unix(path: path)] {
      listeners.append(
        try Listener(address, on: poller, settings: settings[0]) { [unowned self] connection in
          // Little room in the kernel, so that the sender is soon held up.
          _ = fdp_set_option(connection.handle.fd, SOL_SOCKET, SO_RCVBUF, 16 << 10)
          return ReadingEnd(self, connection)
        })
    }
    let share = max(2, 64 / poller.loops.count)
    for loop in poller.loops {
      loop.run { [self] in for _ in 0..<share { beginSession(on: loop) } }
    }
  }

  /// One more sender. On the loop.
  func beginSession(on loop: EventLoop) {
    guard stage.isStormy else { return }
    let choice = randoms.next(on: loop)
    sessions.open()
    _ = Connector.connect(
      to: listeners[Int(choice % 2)].address, on: loop, deadline: stage.parameters.patience * 3,
      settings: settings[Int(choice >> 8 % 4)]
    ) { [self] result in
      switch result {
      case .success(let connection):
        _ = fdp_set_option(connection.handle.fd, SOL_SOCKET, SO_SNDBUF, 16 << 10)
        // Up to a quarter of a megabyte.
        let total = 2 + Int(choice >> 16 % (1 << 15))
        let end = SendingEnd(self, connection, identity: newIdentity(), total: total)
        connection.setHandler(end)
        end.begin(on: connection)
      case .failure(let error):
        fail(error, on: loop)
      }
    }
  }

  private func fail(_ error: ConnectError, on loop: EventLoop) {
    sessions.close()
    switch error.cause {
    // Descriptors, ports and queues are finite.
    case .refused(.tooManyOpenFiles), .refused(.tooManyOpenFilesInSystem),
      .refused(.addressNotAvailable), .refused(.resourceTemporarilyUnavailable),
      .poller(.numberTooLarge):
      loop.schedule(after: .milliseconds(1)) { [self] in beginSession(on: loop) }
    case .refused, .poller, .timedOut, .cancelled:
      stage.violate("a connect fails for a reason that is known", "\(error)")
    }
  }

  func end() {
    for listener in listeners { listener.close() }
    listeners = []
    stage.stop(poller)
  }
}

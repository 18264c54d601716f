import CShims
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

@Suite("Connecting", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectorTests {
  /// What the completion was called with.
  private final class Outcome: @unchecked Sendable {
    private let results = Guarded<[Result<Connection, ConnectError>]>([])

    var all: [Result<Connection, ConnectError>] { results.value }
    var error: ConnectError? {
      if case .failure(let error) = all.first { error } else { nil }
    }
    var connection: Connection? { try? all.first?.get() }

    func note(_ result: Result<Connection, ConnectError>) {
      results.withLock { $0.append(result) }
    }
  }

  /// Connects, and waits for the completion, which must not come within the call.
  private func connect(
    to address: SocketAddress, on loop: EventLoop, deadline: Duration? = .seconds(20),
    handler: Recorder = Recorder()
  ) async throws -> Outcome {
    let outcome = Outcome()
    try await loop.call {
      Connector.connect(
        to: address, on: loop, deadline: deadline, settings: ConnectionSettings()
      ) { result in
        #expect(loop.isCurrent)
        outcome.note(result)
        if case .success(let connection) = result { connection.setHandler(handler) }
      }
      #expect(outcome.all.isEmpty, "the completion came within the call")
    }
    #expect(await eventually { !outcome.all.isEmpty })
    return outcome
  }

  @Test("a connection is made, and bytes go both ways", arguments: Family.all)
  func success(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let listener = try RawListener(family.address)
      let recorder = Recorder()
      let outcome = try await connect(
        to: listener.address, on: poller.loops[0], handler: recorder)
      let peer = Peer(try listener.accept())
      try peer.send("hello")
      #expect(await eventually { recorder.bytes.count == 5 })
      let connection = try #require(outcome.connection)
      let remote = try await poller.loops[0].call {
        connection.write("you")
        return connection.peerAddress
      }
      #expect(try peer.receiveText(3) == "you")
      #expect(remote == listener.address)
      peer.close()
      #expect(await eventually { recorder.isClosed })
      #expect(outcome.all.count == 1)
    }
  }

  @Test("a port at which nobody listens refuses", arguments: Family.tcp)
  func refused(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      // Bound and not listening, so that the kernel does not give the number to the client itself.
      let holder = socket(family.address.domain, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(holder) }
      let bound = family.address.withSockAddr {
        bind(holder, $0.assumingMemoryBound(to: sockaddr.self), $1)
      }
      try #require(bound == 0)
      let address = try #require(
        SocketAddress.reading { bytes, length in
          getsockname(holder, bytes.assumingMemoryBound(to: sockaddr.self), length)
        })
      let outcome = try await connect(to: address, on: poller.loops[0])
      #expect(outcome.error == ConnectError(address: address, cause: .refused(.connectionRefused)))
      #expect(
        outcome.error?.description
          == "cannot connect to \(address): Connection refused (errno 111)")
      #expect(outcome.all.count == 1)
    }
  }

  @Test("a Unix socket that is not there is a failure at once, told later")
  func missingUnixSocket() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let address = try SocketAddress.unix(path: "/tmp/fdnet-there-is-no-such-socket")
      let outcome = try await connect(to: address, on: poller.loops[0])
      #expect(outcome.error?.cause == .refused(.noSuchFileOrDirectory))
    }
  }

  @Test("a full Unix listener refuses")
  func fullUnixListener() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let full = try FullListener(Family.unix.address)
      let outcome = try await connect(to: full.listener.address, on: poller.loops[0])
      #expect(outcome.error?.cause == .refused(.resourceTemporarilyUnavailable))
    }
  }

  @Test("who does not answer is given up at the deadline, not before", arguments: Family.tcp)
  func deadline(family: Family) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let full = try FullListener(family.address)
      let limit = Duration.milliseconds(100)
      let start = ContinuousClock.now
      let outcome = try await connect(
        to: full.listener.address, on: poller.loops[0], deadline: limit)
      #expect(ContinuousClock.now - start >= limit)
      #expect(outcome.error?.cause == .timedOut(limit))
      #expect(
        outcome.error?.description
          == "cannot connect to \(full.listener.address): no answer within \(limit)")
      #expect(outcome.all.count == 1)
    }
  }

  enum Cancellation: CaseIterable, Sendable {
    case abort
    case close
    case foreignDelete
    case stop
  }

  @Test("an attempt can be cancelled, and says so once", arguments: Cancellation.allCases)
  func cancel(cancellation: Cancellation) async throws {
    let outcome = Outcome()
    let full = try FullListener(.loopback(port: 0))
    try await withTestedPoller(threads: 2) { poller in
      let loop = poller.loops[0]
      let attempt = try await loop.call {
        Connector.connect(
          to: full.listener.address, on: loop, deadline: .seconds(30),
          settings: ConnectionSettings(), outcome.note)
      }
      let connection = try #require(attempt)
      #expect(await always(for: .milliseconds(20)) { outcome.all.isEmpty })
      switch cancellation {
      case .abort, .close:
        try await loop.call {
          #expect(connection.write("x") == .refused)
          cancellation == .abort ? connection.abort() : connection.close()
          connection.abort()
          #expect(outcome.all.isEmpty)
        }
      case .foreignDelete: #expect(poller.delete(connection.handle))
      case .stop: return
      }
      #expect(await eventually { !outcome.all.isEmpty })
    }
    #expect(outcome.all.count == 1)
    #expect(outcome.error?.cause == .cancelled)
  }

  // Fails if the move ends what is in flight before it looks at what the connection is doing.
  @Test("an attempt does not move, and goes on")
  func moveWhileConnecting() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let full = try FullListener(.loopback(port: 0))
      let outcome = Outcome()
      let moves = Guarded<[MoveResult]>([])
      let loop = poller.loops[0]
      let attempt = try await loop.call {
        Connector.connect(
          to: full.listener.address, on: loop, deadline: .seconds(30),
          settings: ConnectionSettings(), outcome.note)
      }
      let connection = try #require(attempt)
      for round in 1...3 {
        try await loop.call {
          connection.move(to: poller.loops[1]) { result in moves.withLock { $0.append(result) } }
        }
        #expect(await eventually { moves.value.count == round })
      }
      #expect(moves.value == [.refused, .refused, .refused])
      #expect(await always(for: .milliseconds(20)) { outcome.all.isEmpty })
      try await loop.call { connection.abort() }
      #expect(await eventually { !outcome.all.isEmpty })
      #expect(outcome.error?.cause == .cancelled && outcome.all.count == 1)
    }
  }

  // Fails if an address goes before its request has ended, or an attempt is told of twice or not at
  // all.
  @Test("attempts that are cancelled at any time, with hardly a queue, say so once each")
  func manyCancelled() async throws {
    let outcomes = (0..<120).map { _ in Outcome() }
    let (full, open) = (try FullListener(.loopback(port: 0)), try RawListener(.loopback(port: 0)))
    try await withTestedPoller(threads: 1, rings: .tiny()) { poller in
      let loop = poller.loops[0]
      try await loop.call {
        for (number, outcome) in outcomes.enumerated() {
          let address = number % 2 == 0 ? full.listener.address : open.address
          let attempt = Connector.connect(
            to: address, on: loop, deadline: .seconds(30), settings: ConnectionSettings()
          ) { result in
            outcome.note(result)
            if case .success(let connection) = result {
              connection.setHandler(Recorder())
              connection.abort()
            }
          }
          switch number % 6 {
          // Before the kernel has heard of it, while it is at it, when it may be done; or the stop.
          case 0, 1: attempt?.abort()
          case 2, 3: loop.defer { attempt?.abort() }
          case 4 where number % 4 == 0:
            loop.schedule(after: .milliseconds(2)) { attempt?.abort() }
          default: break
          }
        }
      }
      #expect(await eventually { outcomes.count { !$0.all.isEmpty } >= 100 })
    }
    for (number, outcome) in outcomes.enumerated() {
      #expect(outcome.all.count == 1)
      #expect(outcome.error?.cause == .cancelled || number % 2 == 1)
    }
  }

  @Test("a completion may close or move what it gets", arguments: [0, 1, 2])
  func completionActs(choice: Int) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let listener = try RawListener(.loopback(port: 0))
      let recorder = Recorder()
      let loop = poller.loops[0]
      try await loop.call {
        Connector.connect(
          to: listener.address, on: loop, deadline: nil, settings: ConnectionSettings()
        ) { result in
          guard case .success(let connection) = result else { return }
          connection.setHandler(recorder)
          switch choice {
          case 0: connection.close()
          case 1: connection.abort()
          default: connection.move(to: poller.loops[1])
          }
        }
      }
      let peer = Peer(try listener.accept())
      switch choice {
      case 0: #expect(try peer.receive().isEmpty)
      case 1: #expect(throws: Errno.connectionReset) { try peer.receive() }
      default: #expect(await eventually { recorder.log.moves == [1] })
      }
      peer.close()
      #expect(await eventually { recorder.isClosed })
    }
  }

  @Test("a connect while the poller stops fails, and says so")
  func whileStopping() async throws {
    let outcome = Outcome()
    let listener = try RawListener(.loopback(port: 0))
    let recorder = Recorder()
    // The stop closes it, and not its peer's end.
    var link: Link?
    try await withTestedPoller(threads: 1) { poller in
      let loop = poller.loops[0]
      recorder.onClosed = { [unowned loop] _, _ in
        Connector.connect(
          to: listener.address, on: loop, deadline: nil, settings: ConnectionSettings(),
          outcome.note)
      }
      link = try await Link(on: loop, recorder)
    }
    link?.peer.close()
    #expect(recorder.isClosed)
    #expect(outcome.error?.cause == .poller(.notRunning))
    #expect(outcome.all.count == 1)
  }
}

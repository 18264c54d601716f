import CShims
import FDNet
import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDCoordination

@Suite("Heartbeat", .serialized, .everyBackend, .ledger)
struct HeartbeatTests {
  static let fast = MultiplexedSettings(
    heartbeat: HeartbeatSettings(
      interval: .milliseconds(40), timeout: .seconds(1)))

  @Test(
    """
    1. Probes the connection that can hang, not another one. Interval 15 s, timeout 15 s by \
    default, or 1.5 x the last round trip if that is longer
    """, arguments: Transport.allCases)
  func probes(transport: Transport) async throws {
    #expect(MultiplexedSettings().heartbeat == HeartbeatSettings())
    #expect(HeartbeatSettings().interval == .seconds(15))
    #expect(HeartbeatSettings().timeout == .seconds(15))
    // None is missed on a busy machine.
    let settings = MultiplexedSettings(
      heartbeat: HeartbeatSettings(
        interval: .milliseconds(40), timeout: TestRun.isSanitized ? .seconds(4) : .seconds(1)))
    try await withTestedPoller(threads: 1) { poller in
      try await withRawPeer(transport, on: poller, settings) { server, peer in
        try peer.greet()
        let stream = try server.open()
        try await stream.send([1, 2, 3])
        // On the socket that carries the data the probes come too.
        #expect(try peer.next { $0 == .data(2, [1, 2, 3]) } != nil)
        for number in UInt64(1)...3 {
          #expect(try peer.next { if case .ping = $0 { true } else { false } } == .ping(number))
          usleep(5_000)
          try peer.send(.pong(number))
        }
        #expect(await eventually { server.roundTrip ?? .zero >= .milliseconds(5) })
        #expect(server.error == nil)
      }
    }
  }

  @Test(
    """
    2. Two consecutive misses are fatal; any byte received resets. Probes go between frames of at \
    most 64 KiB, and credit and control frames have room of their own: a slow link carrying a 10 \
    MiB message is not a dead peer. The timer is local: it fires even when the write path is stuck
    """)
  func misses() async throws {
    try await withTestedPoller(threads: 1) { poller in
      try await withRawPeer(on: poller, Self.fast) { server, peer in
        try peer.greet()
        // One miss, and a byte, which is half a frame: again and again.
        for _ in 0..<3 {
          for _ in 0..<2 {
            #expect(try peer.next { if case .ping = $0 { true } else { false } } != nil)
          }
          try peer.send(.pong(0))
        }
        #expect(server.error == nil)
        let error = try await bounded { try await server.ended() }
        guard case .peerVanished(let silence) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(silence >= .milliseconds(150))
        #expect("\(error)".contains("the peer has vanished"))
      }
      // Nothing can be written, and the connection is found dead all the same.
      try await withRawPeer(on: poller, Self.fast, socketBuffer: 4 << 10) { server, peer in
        try peer.greet(window: 1 << 30)
        let stream = try server.open()
        let error = try await bounded {
          do {
            while true { try await stream.send(pattern(64 << 10)) }
          } catch let error as MultiplexedError {
            return error
          }
        }
        if case .peerVanished = error {} else { Issue.record("\(error)") }
      }
    }
    try await slowLink()
  }

  /// Longer than the heartbeat's patience in which a message crawls over the line.
  private func slowLink() async throws {
    var settings = MultiplexedSettings(
      heartbeat: HeartbeatSettings(
        interval: .milliseconds(100), timeout: .milliseconds(500)))
    settings.window = 64 << 10
    let limits = settings
    try await withTestedPoller { poller in
      let accepted = Guarded<MultiplexedConnection?>(nil)
      let listener = try Listener(.loopback(port: 0), on: poller) {
        $0.shrinkBuffers(16 << 10)
        let server = MultiplexedConnection($0, role: .server, settings: limits)
        accepted.value = server
        return server.handler
      }
      defer { listener.close() }
      let link = try SlowLink(to: listener.address, bytesPerSecond: 4 << 20)
      try await bounded {
        let client = try await MultiplexedConnection.connect(
          to: link.address, on: poller.loops[0], settings: limits)
        client.core.connection.shrinkBuffers(16 << 10)
        let start = ContinuousClock.now
        try #require(await eventually { accepted.value != nil })
        let server = try #require(accepted.value)
        let (near, far) = try await openPair(client, server)
        let message = pattern(10 << 20)
        try await near.send(message)
        #expect(try await far.receive() == message)
        #expect(ContinuousClock.now - start > .seconds(1))
        #expect(client.error == nil && server.error == nil)
        client.close()
        server.close()
      }
      accepted.value = nil
      try await link.end()
    }
  }

  @Test(
    """
    3. On death: fail what is in flight with a clear error, close, and do it off the caller's \
    path (a peer that is stopped)
    """, arguments: Transport.allCases)
  func stoppedPeer(transport: Transport) async throws {
    try await withPeerProcess(transport.address) { peer, server in
      try await Self.dies(server) { peer.signal(SIGSTOP) }
    }
  }

  @Test("3. On death, in a network namespace that loses packets without a FIN")
  func lostPackets() async throws {
    guard let network = await LossyNetwork.make() else { return }
    do {
      try await withPeerProcess(network.address, in: network) { _, server in
        try await Self.dies(server) { try await network.cut() }
      }
    } catch {
      await network.remove()
      throw error
    }
    await network.remove()
  }

  /// Checks that everything on a connection ends when the peer vanishes.
  private static func dies(
    _ server: MultiplexedConnection, _ vanish: () async throws -> Void
  ) async throws {
    let stream = try server.open()
    try await stream.send([1])
    #expect(try await stream.receive() == [1])
    try await vanish()
    func death(_ body: @escaping @Sendable () async throws -> Void) async throws {
      try await bounded {
        do {
          try await body()
          Issue.record("it went well")
        } catch MultiplexedError.peerVanished(let silence) {
          #expect(silence >= .milliseconds(100))
        }
      }
    }
    // What it echoed until it stood still comes first.
    async let receive: Void = death { while try await stream.receive() != nil {} }
    async let send: Void = death { while true { try await stream.send(pattern(32 << 10)) } }
    async let accept: Void = death { _ = try await server.accept() }
    _ = try await (receive, send, accept)
    // The caller of a later call learns it at once.
    try await death { _ = try server.open() }
  }

  @Test("4. Also offers TCP keep-alive and TCP_USER_TIMEOUT as plain options")
  func keepAlive() async throws {
    try await withTestedPoller(threads: 1) { poller in
      for transport in Transport.allCases {
        try await withPair(transport, on: poller) { client, _ in
          let connection = client.core.connection
          let keepAlive = KeepAlive(
            idle: .seconds(7), interval: .milliseconds(2_100), probes: 4, userTimeout: .seconds(9))
          let result = Guarded<Errno?>(.badAddress)
          poller.loops[0].run {
            do throws(Errno) {
              try connection.setKeepAlive(keepAlive)
              result.value = nil
            } catch {
              result.value = error
            }
          }
          #expect(await eventually { result.value == nil })
          func option(_ level: Int32, _ name: Int32) -> Int32 {
            var value: Int32 = -1
            _ = fdp_get_option(connection.handle.fd, level, name, &value)
            return value
          }
          let isTCP = transport == .tcp
          #expect(option(SOL_SOCKET, SO_KEEPALIVE) == (isTCP ? 1 : 0))
          guard isTCP else { return }
          let tcp = Int32(IPPROTO_TCP)
          #expect(option(tcp, TCP_KEEPIDLE) == 7)
          #expect(option(tcp, TCP_KEEPINTVL) == 3)
          #expect(option(tcp, TCP_KEEPCNT) == 4)
          #expect(option(tcp, TCP_USER_TIMEOUT) == 9_000)
        }
      }
    }
  }
}

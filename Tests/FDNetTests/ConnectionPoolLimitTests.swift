import FDPoller
import TestKit
import Testing

@testable import FDNet

@Suite("Limits of the connection pool", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionPoolLimitTests {
  /// Checks in as many connections at once on a loop; returns how many were kept.
  private func keep(
    _ count: Int, to address: SocketAddress, in pool: ConnectionPool, on loop: EventLoop
  ) async throws -> Int {
    var connections: [Connection] = []
    for _ in 0..<count {
      connections.append(try await pool.checkOut(address, on: loop, isRepeatable: false))
    }
    var kept = 0
    for connection in connections {
      if try await pool.checkIn(connection, on: loop) { kept += 1 }
    }
    return kept
  }

  @Test(
    "each loop keeps its share of the idle connections of a destination",
    arguments: [(0, 0), (1, 1), (5, 2), (8, 4)])
  func perDestination(limit: Int, share: Int) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origins = try [RawListener(.loopback(port: 0)), RawListener(.loopback(port: 0))]
      let pool = ConnectionPool(on: poller, limits: keepingLimits { $0.idlePerDestination = limit })
      for loop in poller.loops {
        for origin in origins {
          #expect(try await keep(6, to: origin.address, in: pool, on: loop) == share)
        }
      }
      #expect(pool.statistics.idle == 4 * share)
    }
  }

  @Test("no more are idle in all than the limit says, whatever the destination")
  func inAll() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origins = try [RawListener(.loopback(port: 0)), RawListener(.loopback(port: 0))]
      let pool = ConnectionPool(on: poller, limits: keepingLimits { $0.idleInAll = 5 })
      #expect(try await keep(3, to: origins[0].address, in: pool, on: poller.loops[0]) == 3)
      #expect(try await keep(3, to: origins[1].address, in: pool, on: poller.loops[1]) == 2)
      #expect(try await keep(1, to: origins[1].address, in: pool, on: poller.loops[0]) == 0)
      #expect(pool.statistics.idle == 5)
      // One that is taken makes room for another.
      let connection = try await pool.takeIdle(origins[0].address, on: poller.loops[1])
      #expect(connection != nil)
      #expect(try await keep(2, to: origins[1].address, in: pool, on: poller.loops[0]) == 1)
    }
  }

  @Test("above the low descriptor ratio nothing is kept")
  func lowRatio() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits { $0.lowDescriptorRatio = 0 })
      #expect(try await keep(2, to: origin.address, in: pool, on: poller.loops[0]) == 0)
      // The last descriptors of a ratio count exactly.
      let descriptors = Double(poller.core.descriptorLimit)
      let exact = ConnectionPool(
        on: poller, limits: keepingLimits { $0.lowDescriptorRatio = 5 / descriptors })
      let live = poller.snapshot().liveDescriptors
      #expect(
        try await keep(5 - live, to: origin.address, in: exact, on: poller.loops[0]) == 5 - live)
      #expect(try await keep(1, to: origin.address, in: exact, on: poller.loops[0]) == 0)
    }
  }

  @Test("above the high descriptor ratio every new connection costs an idle one")
  func highRatio() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let other = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits { $0.highDescriptorRatio = 0 })
      #expect(try await keep(1, to: origin.address, in: pool, on: poller.loops[0]) == 1)
      // On its own loop or another's.
      for (number, loop) in [poller.loops[1], poller.loops[0]].enumerated() {
        _ = try await pool.checkOut(other.address, on: loop)
        #expect(await eventually { pool.statistics.idle == 0 })
        #expect(pool.statistics.purged == number + 1)
        _ = try await keep(1, to: origin.address, in: pool, on: poller.loops[0])
        #expect(pool.statistics.idle == 1)
      }
      #expect(pool.statistics.isBalanced)
    }
  }

  @Test("what was idle for too long is closed, and the peer sees it")
  func idleTime() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let limits = keepingLimits {
        $0.idleTime = .milliseconds(40)
        $0.purgeInterval = .milliseconds(15)
      }
      let pool = ConnectionPool(on: poller, limits: limits)
      let start = ContinuousClock.now
      #expect(try await keep(3, to: origin.address, in: pool, on: poller.loops[1]) == 3)
      let peers = try (0..<3).map { _ in Peer(try origin.accept()) }
      for peer in peers { #expect(try peer.receive().isEmpty) }
      #expect(ContinuousClock.now - start >= .milliseconds(20))
      #expect(await eventually { pool.statistics.idle == 0 })
      #expect(pool.statistics.purged == 3 && pool.statistics.isBalanced)
    }
  }

  @Test("each interval halves what nobody needed, until nothing is idle")
  func halving() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(
        on: poller, limits: keepingLimits { $0.purgeInterval = .milliseconds(100) })
      #expect(try await keep(8, to: origin.address, in: pool, on: poller.loops[0]) == 8)
      let seen = Guarded<[Int]>([8])
      #expect(
        await eventually {
          let idle = pool.statistics.idle
          seen.withLock { if $0.last != idle { $0.append(idle) } }
          return idle == 0
        })
      // A slow machine may overlook steps, and may be purged before all eight are there.
      #expect(seen.value == seen.value.sorted(by: >))
      #expect(pool.statistics.purged == 8)
      #expect(seen.value.count > 2, "\(seen.value)")
    }
  }

  @Test("a pool that is closed keeps nothing, and lets its users finish")
  func closedPool() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      _ = try await pool.fill(2, to: origin.address, on: poller.loops[0])
      let used = try await pool.checkOut(origin.address, on: poller.loops[1])
      pool.close()
      pool.close()
      #expect(await eventually { pool.statistics.idle == 0 })
      let peers = try (0..<2).map { _ in Peer(try origin.accept()) }
      try await poller.loops[1].call { used.write("still") }
      let texts = try peers.map { String(decoding: try $0.receive(), as: UTF8.self) }
      #expect(Set(texts) == ["", "still"])
      #expect(try await pool.checkIn(used, on: poller.loops[1]) == false)
      #expect(pool.statistics.isBalanced)
    }
  }

  @Test("a pool that nobody holds any more goes when its connections are gone")
  func droppedPool() async throws {
    try await withTestedPoller(threads: 1) { poller in
      weak var remains: ConnectionPool?
      let origin = try RawListener(.loopback(port: 0))
      do {
        let limits = keepingLimits {
          $0.idleTime = .milliseconds(20)
          $0.purgeInterval = .milliseconds(10)
        }
        let pool = ConnectionPool(on: poller, limits: limits)
        remains = pool
        _ = try await pool.fill(2, to: origin.address, on: poller.loops[0])
      }
      #expect(await eventually { remains == nil })
      #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
    }
  }
}

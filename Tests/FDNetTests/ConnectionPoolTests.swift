import FDPoller
import Glibc
import TestKit
import Testing

@testable import FDNet

@Suite("The connection pool", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionPoolTests {
  @Test("what was checked in is used again on its loop", arguments: Family.all)
  func reuse(family: Family) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(family.address)
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let loop = poller.loops[0]
      let first = Recorder.keepingOpen()
      let connection = try await pool.checkOut(origin.address, on: loop, handler: first)
      let peer = Peer(try origin.accept())
      try await loop.call { connection.write("one") }
      #expect(try peer.receiveText(3) == "one")
      #expect(try await pool.checkIn(connection, on: loop))
      #expect(pool.statistics.idle == 1)

      let second = Recorder.keepingOpen()
      let again = try await pool.checkOut(origin.address, on: loop, handler: second)
      #expect(again === connection)
      try peer.send("two")
      #expect(await eventually { second.bytes == Array("two".utf8) })
      var expected = PoolStatistics()
      (expected.opened, expected.kept, expected.reusedLocally) = (1, 1, 1)
      #expect(pool.statistics == expected)
      try await loop.call { again.abort() }
      #expect(await eventually { second.isClosed })
      #expect(first.log.closes.isEmpty && first.bytes.isEmpty)
    }
  }

  @Test("a connection is taken over by the loops of all groups, one after the other")
  func takeover() async throws {
    try await withTestedPoller(threads: 4, groups: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let connection = try await pool.fill(1, to: origin.address, on: poller.loops[0])[0]
      let peer = Peer(try origin.accept())
      for round in 1...12 {
        let loop = poller.loops[round % 4]
        let recorder = Recorder.keepingOpen()
        let taken = try await pool.checkOut(origin.address, on: loop, handler: recorder)
        #expect(taken === connection)
        try peer.send("to \(round)")
        #expect(await eventually { recorder.bytes == Array("to \(round)".utf8) })
        try await loop.call { connection.write("from") }
        #expect(try peer.receiveText(4) == "from")
        #expect(try await pool.checkIn(connection, on: loop))
      }
      var expected = PoolStatistics()
      (expected.opened, expected.kept, expected.takenOver, expected.idle) = (1, 13, 12, 1)
      #expect(pool.statistics == expected)
      pool.close()
      #expect(try peer.receive().isEmpty)
      #expect(await eventually { pool.statistics.idle == 0 })
      #expect(pool.statistics.purged == 1)
    }
  }

  @Test("the own loop's newest goes first, then the own group's, then the others'")
  func order() async throws {
    // Loops 0 and 2 are one group, 1 and 3 the other.
    try await withTestedPoller(threads: 4, groups: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let elsewhere = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      _ = try await pool.fill(2, to: elsewhere.address, on: poller.loops[2])
      var expected: [Connection] = []
      for index in [2, 0] {
        expected += try await pool.fill(3, to: origin.address, on: poller.loops[index]).reversed()
      }
      let foreign = try await pool.fill(2, to: origin.address, on: poller.loops[1])
      var order: [Connection] = []
      for _ in 0..<6 {
        order.append(
          try #require(try await pool.takeIdle(origin.address, on: poller.loops[2])))
      }
      #expect(order.map(ObjectIdentifier.init) == expected.map(ObjectIdentifier.init))
      let last = try await pool.takeIdle(origin.address, on: poller.loops[2])
      #expect(last === foreign[1])
      _ = try await pool.takeIdle(origin.address, on: poller.loops[2])
      #expect(try await pool.takeIdle(origin.address, on: poller.loops[2]) == nil)
      #expect(pool.statistics.reusedLocally == 3 && pool.statistics.takenOver == 5)
      #expect(pool.statistics.idle == 2 && pool.statistics.isBalanced)
    }
  }

  @Test("the reuse policy decides who gets a used connection", arguments: ReusePolicy.allCases)
  func policy(policy: ReusePolicy) async throws {
    try await withTestedPoller(threads: 1) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits { $0.reuse = policy })
      let loop = poller.loops[0]
      let connection = try await pool.checkOut(origin.address, on: loop)
      #expect(try await pool.checkIn(connection, on: loop) == (policy != .never))
      let unrepeatable = try await pool.checkOut(origin.address, on: loop, isRepeatable: false)
      #expect((unrepeatable === connection) == (policy == .always))
      try await loop.call { _ = pool.checkIn(unrepeatable) }
      let repeatable = try await pool.checkOut(origin.address, on: loop)
      let isUsed = repeatable === connection || repeatable === unrepeatable
      #expect(isUsed == (policy != .never))
      #expect(pool.statistics.opened == [.never: 3, .safe: 2, .always: 1][policy])
      // Those that were not kept wait for their peers' ends.
      for _ in 0..<pool.statistics.opened { Peer(try origin.accept()).close() }
    }
  }

  @Test("a failed attempt is told, and counts as opened")
  func failure() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let pool = ConnectionPool(on: poller)
      let address = try SocketAddress.unix(path: "/tmp/fdnet-there-is-no-such-socket")
      await #expect(throws: ConnectError.self) {
        try await pool.checkOut(address, on: poller.loops[0])
      }
      #expect(pool.statistics.opened == 1)
    }
  }

  @Test("what cannot serve anybody else is closed at check-in")
  func notQuiescent() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let loop = poller.loops[0]
      let states: [@Sendable (Connection) -> Void] = [
        { $0.pauseReading() }, { $0.finishOutput() }, { $0.close() }, { $0.abort() },
        { poller.delete($0.handle) }, { $0.write([UInt8](repeating: 1, count: 9 << 20)) },
        // OLD_TASK_WRONG_THREAD: the move would find it in the hands of another loop.
        { $0.move(to: poller.loops[1]) },
      ]
      for setUp in states {
        let recorder = Recorder()
        let connection = try await pool.checkOut(origin.address, on: loop, handler: recorder)
        let peer = Peer(try origin.accept())
        try await loop.call {
          setUp(connection)
          #expect(!pool.checkIn(connection))
        }
        let end = Background { try? peer.receiveToEnd() }
        _ = try await end.value()
        peer.close()
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
        #expect(recorder.log.closes.isEmpty && recorder.log.moves.isEmpty)
        // Somebody who did not notice that it is gone may check it in once more.
        #expect(try await loop.call { pool.checkIn(connection) } == false)
      }
      #expect(pool.statistics.kept == 0 && pool.statistics.idle == 0)
    }
  }

  @Test("a connection that is checked in when told of its drain keeps the input of that event")
  func checkInWhenDrained() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(
        on: poller, limits: keepingLimits { $0.keepsUnsolicitedBytes = true },
        settings: ConnectionSettings(highWatermark: 1, lowWatermark: 0))
      let loop = poller.loops[0]
      let recorder = Recorder.keepingOpen()
      recorder.onDrained = { #expect(pool.checkIn($0)) }
      let connection = try await pool.checkOut(origin.address, on: loop, handler: recorder)
      let peer = Peer(try origin.accept())
      let held = try await loop.call {
        // As little as possible more than the kernel takes.
        var total = 0
        let block = [UInt8](repeating: 1, count: 1000)
        while connection.write(block) == .sent { total += block.count }
        return total + block.count
      }
      // Room and a byte come in one event.
      let stop = try await Held(loop)
      _ = try await Background {
        let queued = try peer.receive(exactly: held - 1000)
        try peer.send("early")
        return queued
      }.value()
      stop.letGo()
      #expect(await eventually { pool.statistics.idle == 1 })
      #expect(recorder.bytes.isEmpty)
      let next = Recorder.keepingOpen()
      #expect(try await pool.checkOut(origin.address, on: loop, handler: next) === connection)
      #expect(await eventually { next.bytes == Array("early".utf8) })
    }
  }

  @Test("a check-out in the midst of a receive leaves the bytes alone")
  func checkOutWhileReceiving() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(
        on: poller, limits: keepingLimits { $0.keepsUnsolicitedBytes = true })
      let stolen = try await pool.fill(1, to: origin.address, on: poller.loops[1])[0]
      let peer = Peer(try origin.accept())
      try peer.send("X")
      let recorder = Recorder.keepingOpen()
      let seen = Guarded<[UInt8]>([])
      let next = Recorder.keepingOpen()
      recorder.onReceived = { bytes, connection in
        var taken: Connection?
        // The other loop is inside now and then, because of the byte that nobody takes.
        for _ in 0..<10_000 where taken == nil {
          taken = pool.takeIdle(origin.address, on: connection.loop)
          if taken == nil { usleep(100) }
        }
        #expect(taken === stolen)
        taken?.setHandler(next)
        bytes.withUnsafeBytes { seen.value = Array($0) }
      }
      let link = try await Link(on: poller.loops[0], recorder)
      try link.peer.send("request")
      #expect(await eventually { seen.value == Array("request".utf8) })
      #expect(await eventually { next.bytes == Array("X".utf8) })
    }
  }
}

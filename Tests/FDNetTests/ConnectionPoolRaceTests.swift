import FDOwnership
import TestKit
import Testing

@testable import FDNet
@testable import FDPoller

/// The races of the shared idle pool, each by its name.
@Suite("Races of the connection pool", .serialized, .everyBackend, .ledger, .connectionLedger)
struct ConnectionPoolRaceTests {
  @Test("STRANDED_THIEF: a thief that finds the owner inside leaves the connection to the next one")
  func strandedThief() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let (owner, thief) = (poller.loops[0], poller.loops[1])
      let connection = try await pool.fill(1, to: origin.address, on: owner)[0]
      let handle = connection.handle
      // As in the midst of a spurious event.
      try await owner.call {
        let entry = owner.core.table[handle.fd].ownership.enter(handle.generation, as: owner.bit)
        #expect(entry == .entered)
      }
      #expect(try await pool.takeIdle(origin.address, on: thief) == nil)
      #expect(pool.statistics.busy == 1 && pool.statistics.idle == 1)
      try await owner.call {
        // The owner itself does not get what it is inside of either.
        #expect(pool.takeIdle(origin.address, on: owner) == nil)
        owner.leave(handle)
      }
      #expect(try await pool.takeIdle(origin.address, on: thief) === connection)
      #expect(pool.statistics.idle == 0 && pool.statistics.isBalanced)
    }
  }

  @Test(
    "CLOSE_ON_REUSE: a thief does not get what the peer has closed, although the owner sleeps on it"
  )
  func closedBeforeTheft() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let connection = try await pool.fill(1, to: origin.address, on: poller.loops[0])[0]
      let owner = try await Held(poller.loops[0])
      Peer(try origin.accept()).close()
      let another = try await pool.checkOut(origin.address, on: poller.loops[1])
      #expect(another !== connection)
      #expect(pool.statistics.stale == 1 && pool.statistics.opened == 2)
      #expect(pool.statistics.idle == 0 && pool.statistics.isBalanced)
      owner.letGo()
    }
  }

  @Test("CLOSE_ON_REUSE: who got what the peer had just closed is told, and can open another one")
  func closedBeforeReuse() async throws {
    try await withTestedPoller(threads: 1) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let loop = poller.loops[0]
      let connection = try await pool.fill(1, to: origin.address, on: loop)[0]
      let peer = Peer(try origin.accept())
      let recorder = Recorder()
      let result = Guarded<Connection?>(nil)
      try await loop.call {
        // Between the close and the check-out the loop does not look at its descriptors.
        peer.close()
        pool.checkOut(origin.address, on: loop, deadline: nil) {
          result.value = try? $0.get()
          result.value?.setHandler(recorder)
        }
      }
      #expect(await eventually { recorder.isClosed })
      #expect(result.value === connection)
      #expect(recorder.log.inputEnds == 1)
      #expect(pool.statistics.reusedLocally == 1 && pool.statistics.idle == 0)
      result.value = nil
      try await loop.call {
        pool.open(origin.address, on: loop, deadline: nil) { result.value = try? $0.get() }
      }
      #expect(await eventually { result.value != nil })
      result.value = nil
    }
  }

  @Test("bytes that nobody asked for end an idle connection")
  func unsolicited() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      _ = try await pool.fill(1, to: origin.address, on: poller.loops[0])
      let peer = Peer(try origin.accept())
      try peer.send("408 Request Timeout")
      #expect(await eventually { pool.statistics.idle == 0 })
      #expect(pool.statistics.stale == 1 && pool.statistics.isBalanced)
      #expect(try await pool.takeIdle(origin.address, on: poller.loops[1]) == nil)
    }
  }

  @Test("kept bytes wait for the next user while the loops sleep", arguments: [0, 1])
  func keptBytes(user: Int) async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(
        on: poller, limits: keepingLimits { $0.keepsUnsolicitedBytes = true })
      let connection = try await pool.fill(1, to: origin.address, on: poller.loops[0])[0]
      let peer = Peer(try origin.accept())
      try peer.send("220 ready")
      try await Task.sleep(for: .milliseconds(20))
      let before = poller.snapshot().total[.ticks]
      try peer.send(" ")
      peer.finish()
      try await Task.sleep(for: .milliseconds(80))
      #expect(poller.snapshot().total[.ticks] - before < 10, "a loop spins")
      #expect(pool.statistics.idle == 1)
      let recorder = Recorder()
      let taken = try await pool.checkOut(
        origin.address, on: poller.loops[user], handler: recorder)
      #expect(taken === connection)
      peer.close()
      #expect(await eventually { recorder.isClosed })
      #expect(recorder.bytes == Array("220 ready ".utf8))
      #expect(recorder.log.inputEnds == 1)
    }
  }

  @Test("REINSERT_PURGED: what was unlinked to be closed stays so, whatever its peer does")
  func reinsertPurged() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let other = try RawListener(.loopback(port: 0))
      for peerCloses in [true, false] {
        let pool = ConnectionPool(on: poller, limits: keepingLimits { $0.highDescriptorRatio = 0 })
        _ = try await pool.fill(1, to: origin.address, on: poller.loops[0])
        let peer = Peer(try origin.accept())
        let owner = try await Held(poller.loops[0])
        // The other loop purges it; its owner has an event of it and the deletion to read.
        if peerCloses { peer.close() } else { try peer.send("x") }
        let another = try await pool.checkOut(other.address, on: poller.loops[1])
        #expect(pool.statistics.purged == 1 && pool.statistics.idle == 0)
        owner.letGo()
        try await poller.loops[1].call { another.abort() }
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
        #expect(pool.statistics.stale == 0 && pool.statistics.isBalanced)
        #expect(try await pool.takeIdle(origin.address, on: poller.loops[0]) == nil)
      }
    }
  }

  @Test("PURGE_VS_FREE: peers that close and a pool that closes agree on every connection")
  func purgeVersusFree() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      for _ in 0..<15 {
        let pool = ConnectionPool(on: poller, limits: keepingLimits())
        for loop in poller.loops { _ = try await pool.fill(10, to: origin.address, on: loop) }
        let peers = try (0..<20).map { _ in Peer(try origin.accept()) }
        let closing = Background { for peer in peers { peer.close() } }
        pool.close()
        try await closing.value()
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
        #expect(pool.statistics.purged + pool.statistics.stale == 20)
        #expect(pool.statistics.idle == 0 && pool.statistics.isBalanced)
      }
    }
  }

  @Test("WAKE_UNPROTECTED: an idle connection is stolen while its peer closes it")
  func wakeUnprotected() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      var stolen = 0
      for round in 0..<300 {
        let connection = try await pool.fill(1, to: origin.address, on: poller.loops[0])[0]
        let peer = Peer(try origin.accept())
        let closing = Background { round % 2 == 0 ? peer.close() : peer.reset() }
        let recorder = Recorder()
        let taken = try await pool.takeIdle(
          origin.address, on: poller.loops[1], handler: recorder)
        if let taken {
          #expect(taken === connection)
          stolen += 1
          #expect(await eventually { recorder.isClosed })
        }
        try await closing.value()
        #expect(await eventually { poller.snapshot().liveDescriptors == 0 })
      }
      #expect(pool.statistics.takenOver == stolen)
      #expect(pool.statistics.stale + stolen == 300 && pool.statistics.isBalanced)
    }
  }

  @Test("STOLEN_CTX: the deadline of the former loop does not reach what was stolen from it")
  func stolenDeadline() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let limit = Duration.milliseconds(300)
      let pool = ConnectionPool(
        on: poller, limits: keepingLimits(),
        settings: ConnectionSettings(idleDeadline: limit, readDeadline: limit))
      let connection = try await pool.fill(1, to: origin.address, on: poller.loops[0])[0]
      // Parked it has no deadline.
      #expect(await always(for: limit * 4) { pool.statistics.idle == 1 })
      let recorder = Recorder()
      let former = try await Held(poller.loops[0])
      _ = try await pool.takeIdle(origin.address, on: poller.loops[1], handler: recorder)
      // On its new loop it has them anew, with its old one standing still.
      #expect(await eventually { recorder.isClosed })
      #expect(connection.isClosing)
      let timers = poller.snapshot().loops.map { $0[.timersFired] }
      #expect(timers[0] == 0 && timers[1] >= 1)
      former.letGo()
    }
  }

  @Test("a paused connection that comes back before its old loop has read that it was gone rests")
  func comesBackPaused() async throws {
    try await withTestedPoller(threads: 2) { poller in
      let origin = try RawListener(.loopback(port: 0))
      let pool = ConnectionPool(on: poller, limits: keepingLimits())
      let (owner, thief) = (poller.loops[0], poller.loops[1])
      _ = try await pool.fill(1, to: origin.address, on: owner)
      let peer = Peer(try origin.accept())
      let recorder = Recorder()
      let held = try await Held(owner)
      try await thief.call {
        guard let connection = pool.takeIdle(origin.address, on: thief) else {
          Issue.record("nothing to steal")
          return
        }
        connection.setHandler(recorder)
        connection.pauseReading()
        connection.move(to: owner)
      }
      try peer.send("wait")
      try await thief.call {}
      held.letGo()
      #expect(await eventually { recorder.log.moves == [0] })
      try await Task.sleep(for: .milliseconds(20))
      let before = poller.snapshot().loops[0][.ticks]
      try await Task.sleep(for: .milliseconds(80))
      #expect(poller.snapshot().loops[0][.ticks] - before < 10, "the loop spins")
      #expect(recorder.bytes.isEmpty)
    }
  }
}

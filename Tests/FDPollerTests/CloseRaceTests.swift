import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Deleting")
  struct CloseRaceTests {
    @Test("from inside the handler closes when the handler has returned, and no event follows")
    func fromInside() async throws {
      let pair = SocketPair()
      let probe = Probe { handle, loop in
        // Data is left unread, so events would go on.
        #expect(loop.delete(handle))
        #expect(!loop.delete(handle))
        #expect(FileDescriptor(rawValue: handle.fd).put(7))
      }
      try await withTestedPoller { poller in
        try poller.insert(pair.near, handler: probe)
        pair.far.put()
        #expect(await probe.isClosedOnce())
        #expect(probe.calls == 1 && probe.retirements == 1)
        #expect(await eventually { pair.far.isAtEnd })
        let total = poller.snapshot().total
        #expect(total[.closesByLastLeaver] == 1 && total[.closesByDeleter] == 0)
        #expect(total[.deletesAlreadyGone] == 1)
      }
      pair.far.closeForGood()
    }

    @Test("from outside closes on the home loop, whoever asks", arguments: [0, 1, nil])
    func fromOutside(caller: Int?) async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(poller.loops[0]))
        if let caller {
          #expect(await poller.loops[caller].call { poller.delete(handle) })
        } else {
          #expect(poller.delete(handle))
        }
        #expect(await probe.isClosedOnce())
        #expect(await eventually { pair.far.isAtEnd })
        #expect(poller.snapshot().total[.closesByDeleter] == 1)
      }
      pair.far.closeForGood()
    }

    @Test("from many threads at once succeeds on exactly one of them")
    func manyDeleters() async throws {
      try await withTestedPoller(threads: 4) { poller in
        for _ in 0..<50 {
          let pair = SocketPair()
          let probe = Probe()
          let handle = try poller.insert(pair.near, handler: probe)
          pair.far.put()
          let wins = Tally()
          let answers = Tally()
          for loop in poller.loops {
            loop.run {
              if poller.delete(handle) { wins.add() }
              answers.add()
            }
          }
          if poller.delete(handle) { wins.add() }
          try #require(await eventually { answers.value == 4 })
          #expect(wins.value == 1)
          #expect(await probe.isClosedOnce())
          pair.far.closeForGood()
        }
      }
    }

    // Fails if delete waits for the handler: the handler wants the lock that the deleter holds.
    @Test("DEL_WAITS: never waits for the handler, even if that waits for a lock of the deleter")
    func deleteDoesNotWait() async throws {
      let pair = SocketPair()
      let lock = Guarded(0)
      let entered = Gate()
      let probe = Probe { _, _ in
        entered.open()
        lock.withLock { $0 += 1 }
      }
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe)
        let deletedInside = await poller.onThread {
          lock.withLock { _ in
            pair.far.put()
            entered.wait()
            return poller.delete(handle) && probe.isInside && pair.near.isOpen
          }
        }
        #expect(deletedInside == true)
        #expect(await probe.isClosedOnce())
        #expect(poller.snapshot().total[.closesByLastLeaver] == 1)
      }
      pair.far.closeForGood()
    }

    // Fails if a delete closes or releases while the handler is inside: it could no longer write.
    @Test("OWNER_GONE: leaves handler and descriptor usable until the handler has returned")
    func ownerStays() async throws {
      let pair = SocketPair()
      let isUsable = Guarded(false)
      try await withTestedPoller { poller in
        weak var witness: Probe?
        var handle = FDHandle.none
        let gate = Gate()
        do {
          let probe = Probe { handle, _ in
            gate.wait()
            let near = FileDescriptor(rawValue: handle.fd)
            isUsable.value = near.drain() == 1 && near.put(9)
          }
          witness = probe
          handle = try poller.insert(pair.near, handler: probe)
        }
        pair.far.put()
        #expect(await eventually { gate.holdsSomebody })
        #expect(poller.delete(handle))
        #expect(await always { witness?.departures == [] && pair.near.isOpen })
        gate.open()
        #expect(await eventually { witness == nil })
        #expect(isUsable.value)
        #expect(pair.far.drain() == 1)
        #expect(await eventually { pair.far.isAtEnd })
      }
      pair.far.closeForGood()
    }

    // Fails if a member that leaves trusts what it knew before the delete (never closed), or if the
    // first to leave closes (closed under the others).
    @Test(
      "STALE_T_LEAK, LAST_THEN_STALL: of a shared descriptor closes when the last member leaves",
      arguments: [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    func lastMemberCloses(order: [Int]) async throws {
      let event = FileDescriptor.event(count: 1)
      let gates = (0..<3).map { _ in Gate() }
      let probe = Probe { _, loop in _ = gates[loop.index].wait() }
      try await withTestedPoller(threads: 3) { poller in
        let handle = try poller.insert(event, handler: probe, on: .loops(poller.loops))
        #expect(await eventually { gates.allSatisfy(\.holdsSomebody) })
        #expect(poller.delete(handle))
        for (left, index) in order.enumerated() {
          #expect(event.isOpen && probe.departures.isEmpty)
          gates[index].open()
          // A loop that has left comes round; those inside do not.
          if left < 2 { await poller.loops[index].settle() }
        }
        #expect(await probe.isClosedOnce())
        #expect(probe.calls == 3 && probe.mostInside == 3)
        #expect(poller.snapshot().total[.closesByLastLeaver] == 1)
      }
    }

    @Test(
      "STALE_T_LEAK, LAST_THEN_STALL: of busy shared descriptors, at any moment, closes each once")
    func lastMemberClosesAtAnyMoment() async throws {
      try await withTestedPoller(threads: 3) { poller in
        for round in 0..<300 {
          let event = FileDescriptor.event(count: 1)
          // Never drained: all three loops go in and out as fast as they can.
          let probe = Probe { _, _ in }
          let handle = try poller.insert(event, handler: probe, on: .loops(poller.loops))
          try #require(await eventually { probe.calls > round % 7 })
          #expect(poller.delete(handle))
          #expect(await probe.isClosedOnce())
          #expect(probe.retirements == 1)
        }
        let total = poller.snapshot().total
        #expect(total[.closesByDeleter] + total[.closesByLastLeaver] == 300)
      }
    }

    // Fails if events are matched by number alone: the successor would get the old event.
    @Test(
      "STALE_EVENT: an event that was fetched before its number was closed and reused reaches nobody"
    )
    func staleEvent() async throws {
      let (first, second, third) = (SocketPair(), SocketPair(aside: true), SocketPair())
      let (victim, successor) = (Probe(), Probe())
      let secondHandle = Guarded(FDHandle.none)
      let isReused = Guarded(false)
      let killer = Probe { handle, loop in
        FileDescriptor(rawValue: handle.fd).drain()
        loop.delete(secondHandle.value)
        guard let again = third.near.moved(to: second.near.rawValue) else { return }
        isReused.value = (try? loop.insert(again, handler: successor)) != nil
      }
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        try poller.insert(first.near, handler: killer)
        secondHandle.value = try poller.insert(second.near, handler: victim)
        await loop.fetchTogether([first.far, second.far])
        #expect(await victim.isClosedOnce())
        try #require(isReused.value, "the number was taken by somebody else")
        #expect(killer.calls == 1 && victim.calls == 0)
        #expect(await always { successor.calls == 0 })
        #expect(loop.counters[.eventsStale] == 1)
        third.far.put()
        #expect(await eventually { successor.calls == 1 })
      }
      #expect(await successor.isClosedOnce())
      for pair in [first, second, third] { pair.far.closeForGood() }
    }

    // Fails if the orphan deletion runs on the deleter's thread: the number would be free while the
    // home loop still uses it.
    @Test(
      "PEER_TOUCH: by another thread leaves the number alone while its home loop may be using it")
    func peerTouch() async throws {
      let (client, backend) = (SocketPair(), SocketPair(aside: true))
      let gate = Gate()
      let peer = Probe()
      // As in a proxy: the client's handler writes to the backend, inside which nobody is.
      let forwarder = Probe { handle, _ in
        gate.wait()
        FileDescriptor(rawValue: handle.fd).drain()
        backend.near.put(0x42)
      }
      try await withTestedPoller(threads: 2) { poller in
        let home = poller.loops[0]
        try poller.insert(client.near, handler: forwarder, on: .loop(home))
        let handle = try poller.insert(backend.near, handler: peer, on: .loop(home))
        client.far.put()
        #expect(await eventually { gate.holdsSomebody })
        #expect(await poller.loops[1].call { poller.delete(handle) })
        // The number cannot be had by anybody.
        #expect(await always { client.far.copied(to: handle.fd) == nil })
        #expect(peer.departures.isEmpty)
        gate.open()
        #expect(await peer.isClosedOnce())
        #expect(backend.far.drain() == 1)
        #expect(await eventually { backend.far.isAtEnd })
      }
      for pair in [client, backend] { pair.far.closeForGood() }
    }

    // Fails if a sealed slot looks live: a takeover or a second delete would succeed.
    @Test("CLOSING_TAKEN: once claimed, the descriptor can neither be taken over nor deleted again")
    func closingTaken() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let (home, thief) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(home))
        await home.call { home.park(handle) }
        // The home loop stands still, so the claimed descriptor stays between claim and close.
        let gate = await home.hold()
        #expect(poller.delete(handle))
        #expect(poller.describe(pair.near).contains("sealed"))
        #expect(await thief.take(handle) == .stale)
        #expect(!poller.delete(handle) && !poller.disown(handle))
        #expect(throws: PollerError.self) { try poller.insert(pair.near, handler: probe) }
        #expect(pair.near.isOpen && probe.departures.isEmpty)
        gate.open()
        #expect(await probe.isClosedOnce())
        #expect(await thief.take(handle) == .stale)
        #expect(thief.counters[.takeoversGone] == 2)
      }
      pair.far.closeForGood()
    }
  }
}

import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("A takeover and an event")
  struct TakeoverRaceTests {
    // Fails if the new owner tells only the owner that it took from, and that one forgets to
    // forget: A would wake for a descriptor that has long been B's.
    @Test("LOST_P_TRIANGLE: from A to C to B, and neither A nor C wakes for it any more")
    func lostTriangle() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 3) { poller in
        let (a, b, c) = (poller.loops[0], poller.loops[1], poller.loops[2])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(a))
        await a.call { a.park(handle) }
        // A stands still and cannot read that it has lost the descriptor, until B has it.
        let gate = await a.hold()
        #expect(await c.takeAndPark(handle) == .taken)
        #expect(await b.take(handle) == .taken)
        gate.open()
        for loop in [a, b, c] { await loop.settle() }
        #expect(await poller.wants(.read, handle) == [b.index])
        let before = [a, c].map { $0.counters[.events] }
        for round in 1...20 {
          pair.far.put()
          try #require(await eventually { probe.calls == round })
        }
        #expect(probe.callers.allSatisfy { $0 == b.index })
        #expect([a, c].map { $0.counters[.events] } == before)
        #expect(poller.snapshot().total[.eventsLost] == 0)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if the old owner is not told: its kernel poller would wake it for each of the events.
    @Test("NO_STOP: after a takeover that won, the old loop sleeps through all events")
    func noStop() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(owner))
        await owner.call { owner.park(handle) }
        #expect(await thief.take(handle) == .taken)
        await owner.settle()
        let (events, sleeps) = (owner.counters[.events], owner.counters[.sleeps])
        for round in 1...50 {
          pair.far.put()
          try #require(await eventually { probe.calls == round })
        }
        #expect(owner.counters[.events] == events)
        #expect(owner.counters[.sleeps] == sleeps)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if the old loop obeys a message that says "disarm": it would remove its own fresh
    // registration.
    @Test("TAKE_BACK_DISARM: taken back before the mail is read, the descriptor stays armed")
    func takeBack() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let (a, b) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(a))
        let (gate, result) = (Gate(), Guarded<Takeover?>(nil))
        a.run {
          a.park(handle)
          gate.wait()
          // The letter that says that B has it lies unread in the mailbox.
          result.value = a.takeOver(handle, wanting: .read) { _ in }
        }
        #expect(await eventually { gate.holdsSomebody })
        #expect(await b.takeAndPark(handle) == .taken)
        gate.open()
        for loop in [a, b] { await loop.settle() }
        #expect(result.value == .taken)
        #expect(await poller.wants(.read, handle) == [a.index])
        let events = b.counters[.events]
        for round in 1...10 {
          pair.far.put()
          try #require(await eventually { probe.calls == round })
        }
        #expect(probe.callers.allSatisfy { $0 == a.index })
        #expect(b.counters[.events] == events)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if a lost event is only dropped: the kernel would report it again and again.
    @Test("NO_UPDATE_ON_LOSS: a loop that loses an event forgets the descriptor, and does not spin")
    func noUpdateOnLoss() async throws {
      let event = FileDescriptor.event()
      let probe = Probe()
      try await withTestedPoller(threads: 3) { poller in
        let (home, member, thief) = (poller.loops[0], poller.loops[1], poller.loops[2])
        // Of the two loops that share it only the home loop is told of a takeover.
        let handle = try poller.insert(event, handler: probe, on: .loops([home, member]))
        for loop in [home, member] { await loop.settle() }
        await home.call { home.park(handle) }
        #expect(await thief.take(handle, wanting: []) == .taken)
        await home.settle()
        #expect(await poller.wants(.read, handle) == [member.index])
        // Ready from now on, and nobody reads it.
        event.signal()
        #expect(await eventually { member.counters[.eventsLost] == 1 })
        await member.settle()
        let ticks = member.counters[.ticks]
        #expect(await always { member.counters[.ticks] == ticks })
        #expect(member.counters[.eventsLost] == 1)
        #expect(home.counters[.eventsLost] == 0 && probe.calls == 0)
      }
      #expect(await probe.isClosedOnce())
    }

    @Test("that has been fetched already is lost, and the new owner gets it")
    func fetchedEventIsLost() async throws {
      let (blocking, pair) = (SocketPair(), SocketPair())
      let (held, probe) = (HeldProbe(), Probe())
      try await withTestedPoller(threads: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        try poller.insert(blocking.near, handler: held.probe, on: .loop(owner))
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(owner))
        await owner.call { owner.park(handle) }
        await owner.fetchTogether([blocking.far, pair.far])
        #expect(await eventually { held.gate.holdsSomebody })
        #expect(await thief.take(handle) == .taken)
        #expect(await eventually { probe.callers == [thief.index] })
        held.gate.open()
        #expect(await eventually { owner.counters[.eventsLost] == 1 })
        #expect(probe.callers == [thief.index])
      }
      #expect(await probe.isClosedOnce())
      for pair in [blocking, pair] { pair.far.closeForGood() }
    }

    // Fails if masks are compared without their group: bit 0 of group 2 is not bit 0 of group 1.
    @Test("GROUP_BIT: the same bit of another group does not let the old loop in")
    func groupBit() async throws {
      let (blocking, pair) = (SocketPair(), SocketPair())
      let (held, probe) = (HeldProbe(), Probe())
      try await withTestedPoller(threads: 2, groups: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        #expect(owner.bit.mask == thief.bit.mask && owner.bit.group != thief.bit.group)
        try poller.insert(blocking.near, handler: held.probe, on: .loop(owner))
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(owner))
        await owner.call { owner.park(handle) }
        await owner.fetchTogether([blocking.far, pair.far])
        #expect(await eventually { held.gate.holdsSomebody })
        // It wants nothing, so only the old loop could run the handler.
        #expect(await thief.take(handle, wanting: []) == .taken)
        held.gate.open()
        #expect(await eventually { owner.counters[.eventsLost] == 1 })
        await owner.settle()
        #expect(probe.calls == 0)
        await thief.call { thief.want(.read, handle) }
        #expect(await eventually { probe.callers == [thief.index] })
      }
      #expect(await probe.isClosedOnce())
      for pair in [blocking, pair] { pair.far.closeForGood() }
    }

    // Fails if an event enters again: the handler would run, and its leave would drop the bit of
    // the one that handed over, so that the delete closed under the body.
    @Test("NESTED_ENTER: an event does not enter where its own loop is inside already")
    func nestedEnter() async throws {
      let (blocking, pair) = (SocketPair(), SocketPair())
      let (held, probe) = (HeldProbe(), Probe())
      try await withTestedPoller(threads: 2) { poller in
        let (a, b) = (poller.loops[0], poller.loops[1])
        try poller.insert(blocking.near, handler: held.probe, on: .loop(b))
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(b))
        await b.call { b.park(handle) }
        // B has fetched an event of the descriptor, and stands still before it is its turn.
        await b.fetchTogether([blocking.far, pair.far])
        #expect(await eventually { held.gate.holdsSomebody })
        // A takes the descriptor, and hands it over to B: B is inside from now on, without knowing
        // it yet.
        #expect(await a.take(handle, wanting: []) == .taken)
        let arrival = Guarded<OwnershipState?>(nil)
        let handedOver = await a.call {
          a.handOver(handle, to: b, wanting: .read) { loop in
            arrival.value = loop.core.table[handle.fd].ownership.state
            #expect(loop === b && pair.near.isOpen && probe.departures.isEmpty)
          }
        }
        #expect(handedOver == .taken)
        #expect(poller.delete(handle))
        held.gate.open()
        #expect(await eventually { arrival.value != nil })
        #expect(b.counters[.eventsWhileInside] + b.counters[.eventsLost] == 1)
        #expect(arrival.value?.running == b.bit.mask && arrival.value?.fate == .condemned)
        #expect(await probe.isClosedOnce())
        #expect(probe.calls == 0)
      }
      for pair in [blocking, pair] { pair.far.closeForGood() }
    }

    @Test(
      "NESTED_ENTER: an event of a live descriptor that is being handed over waits until it has arrived"
    )
    func nestedEnterAlive() async throws {
      let (blocking, pair) = (SocketPair(), SocketPair())
      let (held, probe) = (HeldProbe(), Probe())
      try await withTestedPoller(threads: 2) { poller in
        let (a, b) = (poller.loops[0], poller.loops[1])
        try poller.insert(blocking.near, handler: held.probe, on: .loop(b))
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(b))
        await b.call { b.park(handle) }
        await b.fetchTogether([blocking.far, pair.far])
        #expect(await eventually { held.gate.holdsSomebody })
        #expect(await a.take(handle, wanting: []) == .taken)
        let callsAtArrival = Guarded<Int?>(nil)
        let handedOver = await a.call {
          a.handOver(handle, to: b, wanting: .read) { _ in callsAtArrival.value = probe.calls }
        }
        #expect(handedOver == .taken)
        held.gate.open()
        #expect(await eventually { callsAtArrival.value != nil })
        #expect(callsAtArrival.value == 0)
        #expect(b.counters[.eventsWhileInside] == 1)
        #expect(await eventually { probe.callers == [b.index] })
      }
      #expect(await probe.isClosedOnce())
      for pair in [blocking, pair] { pair.far.closeForGood() }
    }
  }
}

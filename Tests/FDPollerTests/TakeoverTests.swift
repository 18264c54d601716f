import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Taking over")
  struct TakeoverTests {
    @Test("a parked descriptor: its handler runs on the new loop from then on")
    func parked() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(owner))
        pair.far.put()
        #expect(await eventually { probe.calls == 1 })
        await owner.call { owner.park(handle) }
        let isTheHandler = await thief.call {
          let seen = Guarded(false)
          let result = thief.takeOver(handle, wanting: .read) { seen.value = $0 === probe }
          return result == .taken && seen.value
        }
        #expect(isTheHandler)
        #expect(poller.describe(pair.near).contains("home fd-loop-1"))
        pair.far.put()
        #expect(await eventually { probe.callers == [0, 1] })
        #expect(thief.counters[.takeoversWon] == 1)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("by its own loop takes a descriptor out of the parking, so that nobody else can have it")
    func byTheOwner() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(owner))
        await owner.call { owner.park(handle) }
        #expect(await owner.take(handle) == .taken)
        #expect(await thief.take(handle) == .busy)
        #expect(await owner.take(handle) == .busy)
        pair.far.put()
        #expect(await eventually { probe.callers == [0] })
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if a takeover stops the owner's interest before it knows that it has won.
    @Test("TOUCH_ON_FAIL: what is refused changes nothing, and the owner still gets its events")
    func touchOnFail() async throws {
      let pair = SocketPair()
      let held = HeldProbe()
      try await withTestedPoller(threads: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: held.probe, on: .loop(owner))
        await owner.settle()
        let before = poller.describe(pair.near)
        // Not parked.
        #expect(await thief.take(handle, wanting: .write) == .busy)
        // Parked, and its handler is running.
        await owner.call { owner.park(handle) }
        pair.far.put()
        #expect(await eventually { held.gate.holdsSomebody })
        #expect(await thief.take(handle, wanting: .write) == .busy)
        held.gate.open()
        #expect(await eventually { !held.probe.isInside })
        #expect(poller.describe(pair.near) == before + ", parked")
        #expect(await poller.wants(.read, handle) == [owner.index])
        #expect(await poller.wants(.write, handle) == [])
        #expect(thief.counters[.takeoversBusy] == 2)
        pair.far.put()
        #expect(await eventually { held.probe.callers == [0, 0] })
        // Condemned, and somebody is inside; then gone.
        poller.delete(handle)
        #expect(await held.probe.isClosedOnce())
        #expect(await thief.take(handle) == .stale)
      }
      pair.far.closeForGood()
    }

    @Test("a condemned descriptor in which somebody still is finds it closing")
    func closing() async throws {
      let pair = SocketPair()
      let held = HeldProbe()
      try await withTestedPoller(threads: 2) { poller in
        let (owner, thief) = (poller.loops[0], poller.loops[1])
        let handle = try poller.insert(pair.near, handler: held.probe, on: .loop(owner))
        await owner.call { owner.park(handle) }
        pair.far.put()
        #expect(await eventually { held.gate.holdsSomebody })
        #expect(poller.delete(handle))
        #expect(await thief.take(handle) == .closing)
        #expect(await thief.take(handle) == .closing)
        held.gate.open()
        #expect(await held.probe.isClosedOnce())
        #expect(thief.counters[.takeoversGone] == 2)
      }
      pair.far.closeForGood()
    }

    // Fails if a thief that loses keeps the parking ticket: nobody could ever take the descriptor
    // over again.
    @Test("STRANDED: what was busy can be taken over later", arguments: [0, 1])
    func stranded(winner: Int) async throws {
      let pair = SocketPair()
      let held = HeldProbe()
      try await withTestedPoller(threads: 3) { poller in
        let owner = poller.loops[0]
        let handle = try poller.insert(pair.near, handler: held.probe, on: .loop(owner))
        await owner.call { owner.park(handle) }
        pair.far.put()
        #expect(await eventually { held.gate.holdsSomebody })
        for _ in 0..<3 {
          #expect(await poller.loops[1].take(handle) == .busy)
          #expect(await poller.loops[2].take(handle) == .busy)
        }
        held.gate.open()
        #expect(await eventually { !held.probe.isInside })
        #expect(poller.describe(pair.near).contains(", parked"))
        #expect(await poller.loops[winner].take(handle) == .taken)
        pair.far.put()
        #expect(await eventually { held.probe.callers == [0, winner] })
      }
      #expect(await held.probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("a handle of an earlier incarnation, of another poller, or of no descriptor is stale")
    func stale() async throws {
      let (pair, other) = (SocketPair(aside: true), SocketPair())
      let (probe, successor) = (Probe(), Probe())
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let handle = try poller.insert(pair.near, handler: probe)
        await loop.call { loop.park(handle) }
        poller.delete(handle)
        #expect(await probe.isClosedOnce())
        #expect(await loop.take(handle) == .stale)
        let again = try #require(other.near.moved(to: handle.fd))
        let next = try poller.insert(again, handler: successor)
        await loop.call { loop.park(next) }
        #expect(await loop.take(handle) == .stale)
        #expect(await loop.take(FDHandle.none) == .stale)
        #expect(await loop.take(next) == .taken)
      }
      #expect(await successor.isClosedOnce())
      for far in [pair.far, other.far] { far.closeForGood() }
    }
  }
}

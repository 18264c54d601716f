import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Interest")
  struct InterestTests {
    @Test("changes from the loop itself, in the handler too")
    func onTheLoop() async throws {
      let pair = SocketPair()
      // Reads nothing, so that it would be called again and again if it went on wanting.
      let probe = Probe { handle, loop in loop.stop(.read, handle) }
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let handle = try poller.insert(pair.near, handler: probe)
        pair.far.put()
        #expect(await eventually { probe.calls == 1 })
        #expect(await always { probe.calls == 1 })
        await loop.call { loop.want(.read, handle) }
        #expect(await eventually { probe.calls == 2 })
        #expect(await always { probe.calls == 2 })
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("changes from other threads and from other loops, in the order of their requests")
    func fromElsewhere() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let handle = try poller.insert(
          pair.near, handler: probe, on: .loop(poller.loops[0]), wanting: [])
        // The last word is that nothing is wanted.
        for _ in 0..<20 {
          poller.want(.read, handle)
          poller.stop(.read, handle)
        }
        await poller.loops[0].settle()
        let calls = probe.calls
        pair.far.put()
        #expect(await always { probe.calls == calls })
        let other = poller.loops[1]
        await other.call { other.want(.read, handle) }
        #expect(await eventually { probe.calls == calls + 1 })
        await other.call { poller.stop(.read, handle) }
        await poller.loops[0].settle()
        pair.far.put()
        #expect(await always { probe.calls == calls + 1 })
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("in room to write is told when there is some, and only then")
    func writing() async throws {
      let pair = SocketPair()
      while pair.near.put() {}
      let probe = Probe { handle, loop in loop.stop(.write, handle) }
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe, wanting: .write)
        #expect(await always { probe.calls == 0 })
        while (pair.far.drain() ?? 0) > 0 {}
        #expect(await eventually { probe.calls == 1 })
        #expect(probe.readiness == [.write])
        #expect(await always { probe.calls == 1 })
        // Both at once: one event tells of both.
        pair.far.put()
        poller.want([.read, .write], handle)
        #expect(await eventually { probe.readiness.contains([.read, .write]) })
        poller.stop(.read, handle)
        await poller.loops[0].settle()
        pair.near.drain()
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test(
      "in a shared descriptor changes on all of its loops when the poller is asked, from anywhere")
    func shared() async throws {
      let event = FileDescriptor.event()
      let probe = Probe()
      try await withTestedPoller(threads: 3) { poller in
        let handle = try poller.insert(event, handler: probe, on: .loops(poller.loops))
        for loop in poller.loops { await loop.settle() }
        #expect(await poller.wants(.read, handle) == [0, 1, 2])
        poller.stop(.read, handle)
        for loop in poller.loops { await loop.settle() }
        #expect(await poller.wants(.read, handle) == [])
        // One of the loops asks for all; another for itself.
        await poller.loops[1].call { poller.want(.read, handle) }
        for loop in poller.loops { await loop.settle() }
        #expect(await poller.wants(.read, handle) == [0, 1, 2])
        await poller.loops[2].call { poller.loops[2].stop(.read, handle) }
        #expect(await poller.wants(.read, handle) == [0, 1])
      }
      #expect(await probe.isClosedOnce())
    }

    @Test("in a descriptor that is gone changes nothing, even if its number is in use again")
    func gone() async throws {
      let (pair, other) = (SocketPair(aside: true), SocketPair())
      let (probe, successor) = (Probe(), Probe())
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe)
        poller.delete(handle)
        #expect(await probe.isClosedOnce())
        let again = try #require(other.near.moved(to: handle.fd))
        let next = try poller.insert(again, handler: successor, wanting: [])
        #expect(next.fd == handle.fd && next != handle)
        let loop = poller.loops[0]
        poller.want(.read, handle)
        await loop.call { loop.want([.read, .write], handle) }
        #expect(await poller.wants(.read, next) == [])
        other.far.put()
        #expect(await always { successor.calls == 0 })
      }
      #expect(await successor.isClosedOnce())
      pair.far.closeForGood()
      other.far.closeForGood()
    }

    @Test("is told again as long as the descriptor is ready, and a spurious call does no harm")
    func levelTriggered() async throws {
      let pair = SocketPair()
      // One byte at a time: the rest is an event of its own.
      let probe = Probe { handle, _ in
        withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { buffer in
          _ = try? FileDescriptor(rawValue: handle.fd).read(into: buffer)
        }
      }
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe)
        await poller.loops[0].settle()
        for _ in 0..<5 { pair.far.put() }
        #expect(await eventually { probe.calls >= 5 })
        #expect(await always { probe.calls == 5 })
        await poller.loops[0].call { poller.loops[0].dispatch(.read, to: handle) }
        #expect(probe.calls == 6)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }
  }
}

extension Poller {
  /// The loops that have told their kernel pollers that they want this of a descriptor.
  func wants(_ interest: Interest, _ handle: FDHandle) async -> [Int] {
    var wanting: [Int] = []
    for loop in loops {
      let mine = await loop.call { loop.backend.interest(in: handle) }
      if mine.isSuperset(of: interest) { wanting.append(loop.index) }
    }
    return wanting
  }
}

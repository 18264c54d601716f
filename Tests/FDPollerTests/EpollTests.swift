import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Epoll", .epollOnly)
  struct EpollTests {
    // Fails if EEXIST is taken for a refusal: the descriptor would leave the poller, or hear
    // nothing.
    @Test(
      "ADD_EEXIST: a registration that exists already is made the new owner's",
      arguments: [InsertOptions(), .exclusive])
    func addExists(options: InsertOptions) async throws {
      let pair = SocketPair(aside: true)
      let (first, second) = (Probe(), Probe())
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let handle = try poller.insert(pair.near, handler: first, options: options)
        await loop.settle()
        let copy = pair.near.copied()
        poller.delete(handle)
        #expect(await first.isClosedOnce())
        // The copy keeps the registration, and at its old number it is the registration's
        // descriptor.
        let again = try #require(copy.moved(to: handle.fd))
        #expect(await loop.call { loop.epollEvents(of: handle.fd) } != nil)
        let next = try poller.insert(again, handler: second, options: options)
        #expect(next.fd == handle.fd)
        await loop.settle()
        for round in 1...5 {
          pair.far.put()
          try #require(await eventually { second.calls == round })
        }
        #expect(first.calls == 0)
        #expect(loop.counters[.eventsStale] == 0 && loop.counters[.kernelPollerRebuilds] == 0)
      }
      #expect(await second.isClosedOnce())
      pair.far.closeForGood()
    }

    // Fails if a shared open file is only closed: its registration would stay and ring for nobody.
    @Test("CLONED_NO_DEL: what others hold open too leaves no zombie if it is inserted as shared")
    func clonedAndSaid() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let loop = poller.loops[1]
        let copy = pair.near.copied()
        let handle = try poller.insert(
          pair.near, handler: probe, on: .loop(loop), options: .sharedWithOthers)
        await loop.settle()
        poller.delete(handle)
        #expect(await probe.isClosedOnce())
        #expect(await loop.call { loop.epollEvents(of: handle.fd) } == nil)
        let events = loop.counters[.events]
        pair.far.put()
        #expect(await always { loop.counters[.events] == events })
        #expect(copy.drain() == 1)
        copy.closeForGood()
      }
      pair.far.closeForGood()
    }

    // Fails if a loop cannot get rid of a registration whose number is gone: it would spin for
    // ever. With two zombies it fails if each makes the loop forget the other.
    @Test(
      "CLONED_NO_DEL: zombies are found, the epoll set is made anew, and the others go on",
      arguments: 1...3)
    func zombies(count: Int) async throws {
      let log = RecordedLog()
      let survivor = SocketPair()
      let idle = SocketPair()
      let pairs = (0..<count).map { _ in SocketPair() }
      let (survivorProbe, idleProbe) = (Probe(), Probe())
      let probes = pairs.map { _ in Probe() }
      try await withTestedPoller(threads: 1, log: log) { poller in
        let loop = poller.loops[0]
        try poller.insert(survivor.near, handler: survivorProbe)
        try poller.insert(idle.near, handler: idleProbe, wanting: [])
        let copies = pairs.map { $0.near.copied() }
        let handles = try zip(pairs, probes).map { try poller.insert($0.near, handler: $1) }
        await loop.settle()
        for handle in handles { poller.delete(handle) }
        for probe in probes { #expect(await probe.isClosedOnce()) }
        for pair in pairs { pair.far.put() }
        #expect(await eventually { loop.counters[.kernelPollerRebuilds] == 1 })
        #expect(log.count(of: "epoll set rebuilt") == 1)
        for probe in probes { #expect(probe.calls == 0) }
        // It sleeps again, and wakes for what is its own.
        await loop.settle()
        let ticks = loop.counters[.ticks]
        #expect(await always { loop.counters[.ticks] == ticks })
        for round in 1...5 {
          survivor.far.put()
          try #require(await eventually { survivorProbe.calls == round })
        }
        idle.far.put()
        #expect(await always { idleProbe.calls == 0 })
        for copy in copies { copy.closeForGood() }
      }
      #expect(await survivorProbe.isClosedOnce())
      #expect(await idleProbe.isClosedOnce())
      for pair in pairs + [survivor, idle] { pair.far.closeForGood() }
    }

    // Fails if the cause of a stale event is removed by its number: that would be the successor's.
    @Test("CLONED_NO_DEL: a zombie's number that is in use again stays with its new descriptor")
    func zombieUnderASuccessor() async throws {
      let (old, new) = (SocketPair(aside: true), SocketPair())
      let (zombie, successor) = (Probe(), Probe())
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let copy = old.near.copied()
        let handle = try poller.insert(old.near, handler: zombie)
        await loop.settle()
        poller.delete(handle)
        #expect(await zombie.isClosedOnce())
        let next = try poller.insert(
          try #require(new.near.moved(to: handle.fd)), handler: successor)
        await loop.settle()
        old.far.put()
        #expect(await eventually { loop.counters[.kernelPollerRebuilds] == 1 })
        #expect(loop.counters[.eventsStale] >= 2)
        #expect(successor.calls == 0)
        new.far.put()
        #expect(await eventually { successor.calls == 1 })
        #expect(poller.delete(next))
        copy.closeForGood()
      }
      #expect(await successor.isClosedOnce())
      for pair in [old, new] { pair.far.closeForGood() }
    }

    // Fails if only the home loop forgets: a copy keeps the file open, so the others would ring.
    @Test("a descriptor that several loops share is forgotten by all of them before it is closed")
    func sharedIsForgottenByAll() async throws {
      let pipe = FileDescriptor.nonBlockingPipe()
      let copy = pipe.reader.copied()
      let probe = Probe()
      try await withTestedPoller(threads: 4) { poller in
        let handle = try poller.insert(pipe.reader, handler: probe, on: .loops(poller.loops))
        for loop in poller.loops { await loop.settle() }
        #expect(poller.delete(handle))
        #expect(await probe.isClosedOnce())
        for loop in poller.loops {
          #expect(await loop.call { loop.epollEvents(of: handle.fd) } == nil)
        }
        let events = poller.snapshot().total[.events]
        pipe.writer.put()
        #expect(await always { poller.snapshot().total[.events] == events })
        #expect(poller.snapshot().total[.kernelPollerRebuilds] == 0)
      }
      copy.closeForGood()
      pipe.writer.closeForGood()
    }

    @Test("a disowned descriptor is forgotten by every loop that ever owned it")
    func disownedIsForgotten() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 3) { poller in
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(poller.loops[0]))
        await poller.loops[0].call { poller.loops[0].park(handle) }
        #expect(await poller.loops[1].takeAndPark(handle) == .taken)
        #expect(await poller.loops[2].takeAndPark(handle) == .taken)
        poller.disown(handle)
        #expect(await probe.departs(as: .disowned(pair.near)))
        for loop in poller.loops {
          #expect(await loop.call { loop.epollEvents(of: handle.fd) } == nil)
        }
      }
      pair.near.closeForGood()
      pair.far.closeForGood()
    }
  }
}

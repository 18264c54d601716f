import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("An exclusive descriptor")
  struct ExclusiveTests {
    /// Declines its first event in the given way, and reads all later ones.
    private static func declining(
      _ decline: @escaping Probe.Action
    ) -> (probe: Probe, received: Tally) {
      let received = Tally()
      let calls = Tally()
      let probe = Probe { handle, loop in
        if calls.add() == 1 { return decline(handle, loop) }
        received.add(FileDescriptor(rawValue: handle.fd).drain() ?? 0)
      }
      return (probe, received)
    }

    // Fails if a loop that declines tells nobody: the others sleep on, with the event waiting.
    @Test(
      "EXCLUSIVE_LOST: an event that the chosen loop declines reaches another one",
      arguments: ["stop", "poke"])
    func exclusiveLost(way: String) async throws {
      for _ in 0..<20 {
        let pipe = FileDescriptor.nonBlockingPipe()
        let (probe, received) = Self.declining { handle, loop in
          if way == "stop" { loop.stop(.read, handle) } else { loop.poke(handle) }
        }
        try await withTestedPoller(threads: 3) { poller in
          try poller.insert(
            pipe.reader, handler: probe, on: .loops(poller.loops), options: .exclusive)
          for loop in poller.loops { await loop.settle() }
          pipe.writer.put()
          try #require(await eventually { received.value == 1 })
          #expect(poller.snapshot().total[.pokes] >= 1)
        }
        #expect(await probe.isClosedOnce())
        pipe.writer.closeForGood()
      }
    }

    @Test("wakes fewer loops than share it, and its registration says so")
    func wakesFew() async throws {
      let pipe = FileDescriptor.nonBlockingPipe()
      let probe = Probe()
      try await withTestedPoller(threads: 8) { poller in
        let handle = try poller.insert(
          pipe.reader, handler: probe, on: .loops(poller.loops), options: .exclusive)
        for loop in poller.loops { await loop.settle() }
        for loop in poller.loops where TestedBackend.name == "epoll" {
          let events = await loop.call { loop.epollEvents(of: handle.fd) }
          #expect(events.map { $0 & (1 << 28) } == 1 << 28)
        }
        let before = poller.snapshot().total[.events]
        for round in 1...50 {
          pipe.writer.put()
          try #require(await eventually { probe.calls >= round })
        }
        // Eight for each if all were woken.
        #expect(poller.snapshot().total[.events] - before < 200)
      }
      #expect(await probe.isClosedOnce())
      pipe.writer.closeForGood()
    }

    // Fails if a poke that is declined is passed on for ever.
    @Test("that all loops decline comes to rest, and is told to the first one that wants it again")
    func allDecline() async throws {
      let pipe = FileDescriptor.nonBlockingPipe()
      let isWelcome = Tally()
      let received = Tally()
      let probe = Probe { handle, loop in
        if isWelcome.value == 0 { return loop.stop(.read, handle) }
        received.add(FileDescriptor(rawValue: handle.fd).drain() ?? 0)
      }
      try await withTestedPoller(threads: 4) { poller in
        let handle = try poller.insert(
          pipe.reader, handler: probe, on: .loops(poller.loops), options: .exclusive)
        for loop in poller.loops { await loop.settle() }
        pipe.writer.put()
        #expect(await eventually { Set(probe.callers) == [0, 1, 2, 3] })
        for _ in 0..<4 { for loop in poller.loops { await loop.settle() } }
        let atRest = poller.snapshot().total
        // Each loop may have asked each other one once, on either occasion that it stopped.
        #expect(atRest[.pokes] <= 24)
        #expect(await always { poller.snapshot().total[.ticks] == atRest[.ticks] })
        #expect(received.value == 0)
        isWelcome.add()
        await poller.loops[2].call { poller.loops[2].want(.read, handle) }
        #expect(await eventually { received.value == 1 })
      }
      #expect(await probe.isClosedOnce())
      pipe.writer.closeForGood()
    }

    @Test("that all loops decline by a poke alone does not bring a poke back to where it began")
    func allPoke() async throws {
      let pipe = FileDescriptor.nonBlockingPipe()
      let probe = Probe { handle, loop in loop.poke(handle) }
      try await withTestedPoller(threads: 3) { poller in
        let handle = try poller.insert(
          pipe.reader, handler: probe, on: .loops(poller.loops), options: .exclusive)
        for loop in poller.loops { await loop.settle() }
        // As if the kernel had chosen this loop once, for an event that somebody else has read by
        // now.
        await poller.loops[1].call { poller.loops[1].dispatch(.read, to: handle) }
        for _ in 0..<4 { for loop in poller.loops { await loop.settle() } }
        // In whichever order they have written it down.
        #expect(probe.callers.sorted() == [0, 1, 2])
        #expect(poller.snapshot().total[.pokes] == 2)
      }
      #expect(await probe.isClosedOnce())
      pipe.writer.closeForGood()
    }

    @Test("delivers every event while loops decline and want again at random")
    func declineAtRandom() async throws {
      let pipe = FileDescriptor.nonBlockingPipe()
      let received = Tally()
      let probe = Probe { handle, loop in
        if UInt8.random(in: 0..<4) == 0 {
          loop.stop(.read, handle)
          loop.schedule(after: .milliseconds(1)) { loop.want(.read, handle) }
          return
        }
        received.add(FileDescriptor(rawValue: handle.fd).drain() ?? 0)
      }
      try await withTestedPoller(threads: 3) { poller in
        try poller.insert(
          pipe.reader, handler: probe, on: .loops(poller.loops), options: .exclusive)
        for round in 1...500 {
          pipe.writer.put()
          try #require(await eventually { received.value == round })
        }
      }
      #expect(await probe.isClosedOnce())
      pipe.writer.closeForGood()
    }
  }
}

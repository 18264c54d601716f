import CSeccomp
import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  /// What seldom happens to a ring, forced: by a filter that answers one loop's io_uring_enter(2) for
  /// the kernel, or by the order of events.
  @Suite("A ring under stress", .ioUringOnly)
  struct UringFaultTests {
    private static let systemCallOfEntering: Int32 = 426
    /// Of its arguments: how many submissions there are.
    private static let submissions: Int32 = 1

    /// The loop's calls that hand over just so many requests fail from here on.
    private static func refuse(_ count: UInt32, with answer: Int32, on loop: EventLoop) async {
      let result = await loop.call {
        fdt_forbid_argument(Self.systemCallOfEntering, Self.submissions, count, answer)
      }
      #expect(result == 0)
    }

    // Fails if requests that the kernel did not take are forgotten, or if such an answer ends the
    // loop.
    @Test(
      "that the kernel takes nothing from keeps its requests until the kernel does, and the loop goes on",
      arguments: [EAGAIN, EBUSY, EINTR])
    func nothingIsTaken(answer: Int32) async throws {
      let pairs = (0..<41).map { _ in SocketPair() }
      let probes = pairs.map { _ in Probe() }
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        await loop.settle()
        await Self.refuse(40, with: answer, on: loop)
        for pair in pairs { pair.far.put() }
        await loop.call {
          for (pair, probe) in zip(pairs, probes).dropLast() {
            #expect(throws: Never.self) { try loop.insert(pair.near, handler: probe) }
          }
        }
        // It reads its mail, and runs timers.
        let fired = Tally()
        await loop.call { _ = loop.schedule(after: .milliseconds(20)) { fired.add() } }
        #expect(await eventually { fired.value == 1 })
        await loop.settle()
        #expect(probes.allSatisfy { $0.calls == 0 })
        if answer == EINTR { #expect(loop.counters[.ringInterruptions] > 0) }
        // One more is another number of requests, which the kernel takes.
        try poller.insert(pairs[40].near, handler: probes[40])
        for probe in probes { try #require(await eventually { probe.calls == 1 }) }
      }
      for probe in probes { #expect(await probe.isClosedOnce()) }
      for pair in pairs { pair.far.closeForGood() }
    }

    // Fails if what the kernel has not taken yet still names the number of a descriptor that is
    // closed: the next one to get that number sends the former one's bytes.
    @Test("STALE_SQE: that is given up with a send in the queue sends nothing to the next peer")
    func staleSubmission() async throws {
      let (former, next) = (SocketPair(), SocketPair())
      let others = (0..<39).map { _ in SocketPair() }
      let probe = Probe()
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let handle = try poller.insert(former.near, handler: probe, options: [.fresh, .stream])
        await loop.settle()
        await Self.refuse(40, with: EAGAIN, on: loop)
        await loop.call {
          for pair in others {
            #expect(throws: Never.self) { try loop.insert(pair.near, handler: Probe()) }
          }
          let secret = Array("secret".utf8)
          #expect(secret.withUnsafeBytes { loop.send(handle, $0) } == .done(secret.count))
          return
        }
        await loop.settle()
        let successor = Probe()
        let copy = await loop.call {
          loop.delete(handle)
          let copy = fcntl(next.near.rawValue, F_DUPFD, handle.fd)
          #expect(throws: Never.self) {
            try loop.insert(
              FileDescriptor(rawValue: copy), handler: successor, options: [.fresh, .stream])
          }
          return copy
        }
        try #require(copy == handle.fd, "the number was not free")
        next.near.closeForGood()
        #expect(await probe.isClosedOnce())
        for pair in others { pair.far.put() }
        await loop.settle()
        #expect(await always { next.far.drain() == 0 })
        #expect(await eventually { former.far.isAtEnd })
        for pair in [next, former] { pair.far.closeForGood() }
      }
      for pair in others { pair.far.closeForGood() }
    }

    // Fails if EBADR is passed over: the byte that nobody is told of any more stays unread.
    @Test("that has lost completions looks at everything again, and says so")
    func lostCompletions() async throws {
      let log = RecordedLog()
      let (silent, others) = (SocketPair(), (0..<40).map { _ in SocketPair() })
      // What was read is not all; but the ring is told that it was, and so hears nothing any more,
      // as if the kernel had lost it.
      let probe = Probe { handle, loop in
        var byte: UInt8 = 0
        _ = read(handle.fd, &byte, 1)
        loop.backend.noteWouldBlock(.read, of: handle)
      }
      let otherProbes = others.map { _ in Probe() }
      try await withTestedPoller(log: log) { poller in
        let loop = poller.loops[0]
        try poller.insert(silent.near, handler: probe)
        await loop.settle()
        let gate = await loop.hold()
        for _ in 0..<2 { silent.far.put() }
        gate.open()
        #expect(await eventually { probe.calls == 1 })
        await loop.settle()
        #expect(await always { probe.calls == 1 })
        await Self.refuse(40, with: EBADR, on: loop)
        await loop.call {
          for (pair, probe) in zip(others, otherProbes) {
            #expect(throws: Never.self) { try loop.insert(pair.near, handler: probe) }
          }
        }
        try #require(await eventually { probe.calls == 2 })
        #expect(log.count(of: "the kernel has lost completions") == 1)
        for pair in others { pair.far.put() }
        for probe in otherProbes { try #require(await eventually { probe.calls == 1 }) }
      }
      for probe in otherProbes + [probe] { #expect(await probe.isClosedOnce()) }
      for pair in others + [silent] { pair.far.closeForGood() }
    }

    // Fails if a cancellation that meets its poll while that is being run is not repeated: the file
    // stays open. What makes a descriptor ready runs its poll, and is dealt with in the next wait
    // (IORING_SETUP_DEFER_TASKRUN); so the cancellation comes first.
    @Test("whose cancellation meets a poll that is being run (EALREADY) repeats it")
    func busyCancellation() async throws {
      var configuration = PollerConfiguration.tested()
      configuration.tickLimit = .seconds(60)
      configuration.ringSetup.modes = [.deferred]
      try await withTestedPoller(configuration) { poller in
        let loop = poller.loops[0]
        for round in 1...20 {
          let pair = SocketPair()
          let probe = Probe()
          let handle = try poller.insert(pair.near, handler: probe)
          await loop.settle()
          await loop.call {
            pair.far.put()
            loop.delete(handle)
          }
          #expect(await eventually { pair.far.isAtEnd })
          #expect(await probe.isClosedOnce())
          #expect(probe.calls == 0)
          #expect(loop.counters[.ringBusyCancellations] >= round)
          pair.far.closeForGood()
        }
      }
    }

    // Fails if an answer to a cancellation is taken for one of a request that has its record now.
    @Test("whose cancellation comes too late (ENOENT) goes on", arguments: RingMode.allCases)
    func lateCancellation(mode: RingMode) async throws {
      var configuration = PollerConfiguration.tested()
      configuration.tickLimit = .seconds(60)
      // One completion in a wait: the other one's poll, which is of one shot, is over by the time
      // that it is cancelled, and has not told so yet.
      configuration.ringSetup = RingSetup(modes: [mode], completionsPerWait: 1)
      try await withTestedPoller(configuration) { poller in
        let loop = poller.loops[0]
        for round in 1...20 {
          let pipes = (0..<2).map { _ in FileDescriptor.nonBlockingPipe() }
          let handles = Guarded<[FDHandle]>([])
          let probe = Probe { handle, loop in
            FileDescriptor(rawValue: handle.fd).drain()
            for other in handles.value where other != handle { loop.stop(.read, other) }
          }
          for pipe in pipes {
            let handle = try poller.insert(pipe.reader, handler: probe, options: .exclusive)
            handles.withLock { $0.append(handle) }
          }
          await loop.fetchTogether(pipes.map(\.writer))
          try #require(await eventually { probe.calls == 1 })
          await loop.settle()
          #expect(probe.calls == 1)
          #expect(loop.counters[.ringLateCancellations] >= round)
          // The one that was stopped is told as soon as it wants to be, and both end.
          for handle in handles.value { poller.want(.read, handle) }
          try #require(await eventually { probe.calls == 2 })
          for handle in handles.value { poller.delete(handle) }
          #expect(await eventually { probe.departures == [.closed, .closed] })
          for pipe in pipes { pipe.writer.closeForGood() }
        }
      }
    }
  }
}

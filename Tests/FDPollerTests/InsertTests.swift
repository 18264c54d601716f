import CShims
import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Inserting")
  struct InsertTests {
    @Test("on one loop: its handler runs there and nowhere else", arguments: 0..<3)
    func oneLoop(index: Int) async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 3) { poller in
        try poller.insert(pair.near, handler: probe, on: .loop(poller.loops[index]))
        for round in 1...5 {
          pair.far.put()
          try #require(await eventually { probe.calls == round })
        }
        #expect(probe.callers.allSatisfy { $0 == index })
        #expect(probe.readiness.allSatisfy { $0.mayRead })
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("on any loop: they take turns")
    func anyLoop() async throws {
      let pairs = (0..<6).map { _ in SocketPair() }
      let probe = Probe()
      try await withTestedPoller(threads: 3) { poller in
        for pair in pairs { try poller.insert(pair.near, handler: probe) }
        for pair in pairs { pair.far.put() }
        #expect(await eventually { probe.calls == 6 })
        #expect(probe.callers.sorted() == [0, 0, 1, 1, 2, 2])
      }
      #expect(await eventually { probe.departures.count == 6 })
      for pair in pairs { pair.far.closeForGood() }
    }

    @Test("on a set of loops: all of them may be inside the handler at the same time")
    func severalLoops() async throws {
      let event = FileDescriptor.event(count: 1)
      let held = HeldProbe()
      try await withTestedPoller(threads: 4) { poller in
        try poller.insert(event, handler: held.probe, on: .loops(Array(poller.loops[1...3])))
        #expect(await eventually { held.probe.mostInside == 3 })
        #expect(Set(held.probe.entrants) == [1, 2, 3])
        held.gate.open()
      }
      #expect(await held.probe.isClosedOnce())
    }

    @Test("from a loop, on itself and on another")
    func fromALoop() async throws {
      let pairs = (0..<2).map { _ in SocketPair() }
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        await poller.loops[0].call {
          #expect(throws: Never.self) {
            _ = try poller.loops[0].insert(pairs[0].near, handler: probe)
            try poller.insert(pairs[1].near, handler: probe, on: .loop(poller.loops[1]))
          }
        }
        for pair in pairs { pair.far.put() }
        #expect(await eventually { probe.calls == 2 })
        #expect(Set(probe.callers) == [0, 1])
      }
      for pair in pairs { pair.far.closeForGood() }
    }

    @Test("without interest: nothing is told, not even a hang-up, until it is wanted")
    func withoutInterest() async throws {
      let pair = SocketPair()
      let probe = Probe { handle, loop in loop.delete(handle) }
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: probe, wanting: [])
        pair.far.closeForGood()
        #expect(await always { probe.calls == 0 })
        #expect(poller.snapshot().total[.events] == 0)
        poller.want(.read, handle)
        #expect(await eventually { probe.calls == 1 })
        #expect(probe.readiness[0].contains([.read, .hangUp]))
        #expect(await probe.isClosedOnce())
      }
    }

    @Test("on no loop, on loops of two groups, or on another poller's loop is refused")
    func invalidPlacements() async throws {
      let pair = SocketPair()
      let probe = Probe()
      let foreign = try Poller(.tested())
      try await withTestedPoller(threads: 4, groups: 2) { poller in
        let placements: [Placement] = [
          .loops([]), .loops([poller.loops[0], poller.loops[1]]), .loop(foreign.loops[0]),
          .loops([poller.loops[0], foreign.loops[0]]),
        ]
        for placement in placements {
          let error = #expect(throws: PollerError.self) {
            try poller.insert(pair.near, handler: probe, on: placement)
          }
          guard case .invalidPlacement = error else {
            Issue.record("\(String(describing: error))")
            continue
          }
        }
        #expect(poller.snapshot().liveDescriptors == 0)
      }
      #expect(probe.departures.isEmpty)
      pair.near.closeForGood()
      pair.far.closeForGood()
    }

    @Test("what is no descriptor is refused")
    func negative() async throws {
      try await withTestedPoller { poller in
        #expect(throws: PollerError.kernelRefused("take in fd -1", .badFileDescriptor)) {
          try poller.insert(FileDescriptor(rawValue: -1), handler: Probe())
        }
      }
    }

    @Test("a file that epoll cannot watch leaves the poller again, even if its loop was asleep")
    func regularFile() async throws {
      let log = RecordedLog()
      let probe = Probe()
      try await withTestedPoller(threads: 1, log: log) { poller in
        await poller.loops[0].settle()
        let file = Glibc.open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        try poller.insert(FileDescriptor(rawValue: file), handler: probe)
        #expect(await probe.isClosedOnce())
        #expect(log.count(of: "the kernel refuses to watch a descriptor") == 1)
      }
    }

    @Test(
      "a number beyond the table is refused, and so is a descriptor that would have to go there")
    func beyondTheTable() async {
      await #expect(processExitsWith: .success) {
        var limit = rlimit(rlim_cur: 128, rlim_max: 256)
        #expect(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        let poller = try Poller(.tested())
        try poller.start()
        limit.rlim_cur = 256
        #expect(setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        let pair = SocketPair()
        let probe = Probe()

        let beyond = FileDescriptor(rawValue: fdp_duplicate(pair.near.rawValue, 200))
        #expect(throws: PollerError.numberTooLarge(fd: 200, limit: 128)) {
          try poller.insert(beyond, handler: probe)
        }
        #expect(beyond.isOpen)
        #expect(poller.describe(beyond) == "fd 200: beyond the table of 128")

        // The last number of the table is closed behind the poller's back and comes again.
        let last = FileDescriptor(rawValue: fdp_duplicate(pair.near.rawValue, 127))
        let gate = await poller.loops[0].hold()
        try poller.insert(last, handler: probe, wanting: [])
        last.closeForGood()
        let again = FileDescriptor(rawValue: fdp_duplicate(pair.near.rawValue, 127))
        #expect(again == last)
        #expect(throws: PollerError.numberTooLarge(fd: 128, limit: 128)) {
          try poller.insert(again, handler: probe, options: .fresh)
        }
        #expect(again.isOpen)
        gate.open()
        #expect(await probe.departs(as: .closedElsewhere))
        #expect(again.isOpen)
        try poller.stop()
      }
    }
  }
}

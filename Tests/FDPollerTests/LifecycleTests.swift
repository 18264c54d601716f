import CShims
import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Starting and stopping")
  struct LifecycleTests {
    @Test("a stop closes every descriptor and tells its handler, once")
    func stopCloses() async throws {
      let pairs = (0..<20).map { _ in SocketPair() }
      let probes = pairs.map { _ in Probe() }
      try await withTestedPoller(threads: 3) { poller in
        for (pair, probe) in zip(pairs, probes) { try poller.insert(pair.near, handler: probe) }
      }
      for (pair, probe) in zip(pairs, probes) {
        #expect(await probe.isClosedOnce())
        #expect(pair.far.isAtEnd)
        pair.far.closeForGood()
      }
    }

    @Test("a stop that a handler holds up gives up, names the descriptor, and can be repeated")
    func stopTimesOut() async throws {
      let poller = try Poller(.tested(threads: 2))
      try poller.start()
      let pair = SocketPair()
      let held = HeldProbe()
      let handle = try poller.insert(pair.near, handler: held.probe, on: .loop(poller.loops[0]))
      pair.far.put()
      #expect(await eventually { held.gate.holdsSomebody })
      for _ in 0..<2 {
        let error = #expect(throws: PollerError.self) {
          try poller.stop(deadline: .milliseconds(100))
        }
        let description = "\(try #require(error))"
        #expect(description.contains("fd \(handle.fd): live"))
        #expect(description.contains("running 0"))
        #expect(description.contains(poller.loops[0].name))
        #expect(!description.contains(poller.loops[1].name))
      }
      #expect(pair.near.isOpen)
      held.gate.open()
      try poller.stop()
      #expect(await held.probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("a stop that a closure holds up names the loop that is stuck in it, and no other")
    func stopNamesTheLoop() async throws {
      let poller = try Poller(.tested(threads: 3))
      try poller.start()
      let gate = await poller.loops[1].hold()
      let error = #expect(throws: PollerError.self) {
        try poller.stop(deadline: .milliseconds(500))
      }
      let description = "\(try #require(error))"
      // The others have nothing left to wait for, and end.
      #expect(description.contains("\(poller.loops[1]) is in the tick"))
      #expect(!description.contains(poller.loops[0].name))
      #expect(!description.contains(poller.loops[2].name))
      gate.open()
      try poller.stop()
    }

    @Test("a stop after the stop returns at once, and so does one of a poller that never started")
    func stopTwice() throws {
      let poller = try Poller(.tested())
      try poller.start()
      try poller.stop()
      try poller.stop(deadline: .zero)
      let other = try Poller(.tested(threads: 3))
      try other.stop(deadline: .zero)
      try other.stop(deadline: .zero)
      #expect(throws: PollerError.invalidConfiguration("a poller is started once")) {
        try other.start()
      }
    }

    @Test("stops from several threads at once all return after the end of the loops")
    func concurrentStops() async throws {
      let poller = try Poller(.tested(threads: 2))
      try poller.start()
      let probe = Probe()
      let pair = SocketPair()
      try poller.insert(pair.near, handler: probe)
      await withTaskGroup { group in
        for _ in 0..<4 {
          group.addTask {
            #expect(throws: Never.self) { try poller.stop() }
            #expect(probe.departures == [.closed])
          }
        }
      }
      pair.far.closeForGood()
    }

    @Test("an insert before the start or after the stop is refused, and changes nothing")
    func insertWhileNotRunning() throws {
      let pair = SocketPair()
      let poller = try Poller(.tested())
      let probe = Probe()
      #expect(throws: PollerError.notRunning) { try poller.insert(pair.near, handler: probe) }
      try poller.start()
      try poller.stop()
      #expect(throws: PollerError.notRunning) { try poller.insert(pair.near, handler: probe) }
      #expect(poller.snapshot().liveDescriptors == 0)
      #expect(probe.departures.isEmpty)
      pair.near.closeForGood()
      pair.far.closeForGood()
    }

    @Test("a poller is started once")
    func startTwice() async throws {
      try await withTestedPoller { poller in
        #expect(throws: PollerError.invalidConfiguration("a poller is started once")) {
          try poller.start()
        }
      }
    }

    @Test("closures that come before the start run after it, in their order")
    func runBeforeStart() async throws {
      let poller = try Poller(.tested())
      let order = Guarded<[Int]>([])
      for index in 0..<100 { poller.loops[0].run { order.withLock { $0.append(index) } } }
      #expect(order.value.isEmpty)
      try poller.start()
      #expect(await eventually { order.value.count == 100 })
      #expect(order.value == Array(0..<100))
      try poller.stop()
    }

    @Test("a closure that inserts can be given to a loop before the start")
    func insertFromEarlyClosure() async throws {
      let pair = SocketPair()
      let probe = Probe()
      let poller = try Poller(.tested(threads: 4))
      let failure = Guarded<PollerError?>(nil)
      let hasRun = Guarded(false)
      poller.loops[0].run {
        do throws(PollerError) {
          _ = try poller.loops[0].insert(pair.near, handler: probe)
        } catch {
          failure.value = error
        }
        hasRun.value = true
      }
      try poller.start()
      #expect(await eventually { hasRun.value })
      #expect(failure.value == nil)
      try poller.stop()
      #expect(probe.departures == [.closed])
      pair.far.closeForGood()
    }

    @Test(
      "a poller that never starts lets go of the closures it was given", arguments: [true, false])
    func neverStarted(isStopped: Bool) throws {
      let poller = try Poller(.tested(threads: 2))
      let object = LiveObject()
      #expect(poller.loops[0].run { _ = object })
      if isStopped {
        try poller.stop()
        #expect(!poller.loops[0].run { _ = object })
      }
      // The ledger looks for the object.
    }

    @Test("a closure that comes after the stop is handed back uncalled")
    func runAfterStop() async throws {
      let hasRun = Guarded(false)
      let poller = try Poller(.tested(threads: 2))
      try poller.start()
      try poller.stop()
      for loop in poller.loops { #expect(!loop.run { hasRun.value = true }) }
      #expect(await always { !hasRun.value })
    }

    @Test("every closure that a loop took before it ended is run")
    func runDuringStop() async throws {
      let poller = try Poller(.tested(threads: 2))
      try poller.start()
      let taken = Tally()
      let run = Tally()
      let isOver = Tally()
      async let producer: Void = {
        while isOver.value == 0 {
          for loop in poller.loops where loop.run({ run.add() }) { taken.add() }
          await Task.yield()
        }
      }()
      #expect(await eventually { run.value > 100 })
      try poller.stop()
      isOver.add()
      await producer
      #expect(run.value == taken.value)
    }

    @Test("a timer that refers to its loop is dropped with the stop, and does not keep the loop")
    func timersAreDropped() async throws {
      let object = LiveObject()
      weak var loop: EventLoop?
      do {
        let poller = try Poller(.tested())
        try poller.start()
        loop = poller.loops[0]
        await poller.loops[0].call {
          let loop = EventLoop.current!
          loop.schedule(after: .seconds(3600)) {
            loop.run { _ = object }
          }
        }
        try poller.stop()
      }
      #expect(loop == nil)
    }

    @Test("a poller that is dropped while it runs is a mistake, and traps")
    func dropWhileRunning() async {
      await #expect(processExitsWith: .failure) {
        try Poller(.tested()).start()
      }
    }

    @Test(
      "a start that cannot have all its threads stops the others again",
      .disabled(if: TestRun.isSanitized))
    func startFails() async {
      await #expect(processExitsWith: .success) {
        let poller = try Poller(.tested(threads: 64))
        let object = LiveObject()
        for loop in poller.loops { loop.run { _ = object } }
        // Room for some stacks of 8 MiB, and not for 64.
        let statistics = Glibc.open("/proc/self/statm", O_RDONLY)
        var text = [UInt8](repeating: 0, count: 64)
        let length = text.withUnsafeMutableBytes { fdp_read(statistics, $0.baseAddress, 64) }
        let pages = UInt(String(decoding: text[..<length], as: UTF8.self).split(separator: " ")[0])!
        var limit = rlimit()
        limit.rlim_cur = (pages << 12) + (100 << 20)
        limit.rlim_max = limit.rlim_cur
        precondition(setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0)
        do throws(PollerError) {
          try poller.start()
          exit(3)
        } catch {
          guard case .kernelRefused("start a thread", .resourceTemporarilyUnavailable) = error
          else { exit(4) }
        }
        try poller.stop(deadline: .zero)
        exit(poller.loops.allSatisfy { !$0.run {} } ? 0 : 5)
      }
    }
  }
}

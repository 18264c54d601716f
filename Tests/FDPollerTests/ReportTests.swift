import FDOwnership
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("The reports of a poller")
  struct ReportTests {
    @Test("add up: every insert is a close, a disowning, a raw close, or alive")
    func sums() async throws {
      let pairs = (0..<40).map { _ in SocketPair() }
      try await withTestedPoller(threads: 3) { poller in
        let probes = pairs.map { _ in Probe { handle, loop in loop.delete(handle) } }
        let handles = try zip(pairs, probes).map {
          try poller.insert($0.near, handler: $1)
        }
        for index in 0..<10 { pairs[index].far.put() }
        for index in 10..<20 { poller.delete(handles[index]) }
        for index in 20..<25 { poller.disown(handles[index]) }
        for probe in probes[..<25] { #expect(await eventually { !probe.departures.isEmpty }) }
        for pair in pairs[20..<25] { pair.near.closeForGood() }
        let snapshot = poller.snapshot()
        let total = snapshot.total
        #expect(total[.descriptorsInserted] == 40 && snapshot.liveDescriptors == 15)
        #expect(total[.closesByLastLeaver] == 10)
        #expect(total[.closesByDeleter] == 10)
        #expect(total[.disowned] == 5)
        #expect(snapshot.departures + 15 == 40)
        // The total is the sum of the loops and of what the others did.
        let extremes: [PollerCounter] = [.longestTickNanoseconds, .ringBuffersLowWater]
        for counter in PollerCounter.allCases where !extremes.contains(counter) {
          let sum = snapshot.loops.map { $0[counter] }.reduce(snapshot.outside[counter], +)
          #expect(total[counter] == sum)
        }
        #expect(
          total[.longestTickNanoseconds] == snapshot.loops.map { $0[.longestTickNanoseconds] }.max()
        )
        #expect(
          total[.ringBuffersLowWater] == snapshot.loops.map { $0[.ringBuffersLowWater] }.min())
        #expect(snapshot.outside[.descriptorsInserted] == 40)
        let text = snapshot.description
        #expect(text.contains("total: ") && text.contains("descriptorsInserted 40"))
        #expect(text.contains("fd-loop-2: ticks") && text.hasSuffix("live descriptors: 15"))
      }
      for pair in pairs { pair.far.closeForGood() }
    }

    @Test("describe a slot in words in each of its states")
    func describe() async throws {
      let pair = SocketPair(aside: true)
      let held = HeldProbe()
      try await withTestedPoller(threads: 3) { poller in
        let fd = pair.near.rawValue
        #expect(poller.describe(pair.near) == "fd \(fd): free, generation 0")
        let loop = poller.loops[1]
        let handle = try poller.insert(pair.near, handler: held.probe, on: .loop(loop))
        let live = "fd \(fd): live, generation 0, group 1, threads 1, running"
        #expect(poller.describe(pair.near) == "\(live) none, home fd-loop-1")
        await loop.call { loop.park(handle) }
        #expect(poller.describe(pair.near) == "\(live) none, home fd-loop-1, parked")
        pair.far.put()
        #expect(await eventually { held.gate.holdsSomebody })
        #expect(poller.describe(pair.near) == "\(live) 1, home fd-loop-1, parked")
        poller.delete(handle)
        #expect(
          poller.describe(pair.near)
            == "fd \(fd): condemned, generation 0, group 1, threads none, running 1, "
            + "home fd-loop-1, parked")
        held.gate.open()
        #expect(await held.probe.isClosedOnce())
        #expect(poller.describe(pair.near) == "fd \(fd): free, generation 1")
        #expect(poller.describe(FileDescriptor(rawValue: .max)).contains("beyond the table"))
        #expect(poller.describe(FileDescriptor(rawValue: -1)).contains("beyond the table"))
      }
      pair.far.closeForGood()
    }

    @Test("tell of a descriptor whose handler ignores event after event, once")
    func spinning() async throws {
      final class Idler: DescriptorHandler, @unchecked Sendable {}
      let log = RecordedLog()
      let (event, other) = (FileDescriptor.event(count: 1), FileDescriptor.event(count: 1))
      var configuration = PollerConfiguration.tested()
      #expect(configuration.spinLimit == 1_000_000)
      configuration.spinLimit = 10_000
      configuration.logger = log.logger
      configuration.tickLimit = .seconds(60)
      try await withTestedPoller(configuration) { poller in
        let loop = poller.loops[0]
        let handle = try poller.insert(event, handler: Idler())
        // One that does as little but says that it makes progress is not reported.
        let busy = try poller.insert(other, handler: Probe { $1.noteProgress(of: $0) })
        #expect(await eventually { loop.counters[.spinningDescriptors] == 1 })
        let events = loop.counters[.events]
        #expect(await eventually { loop.counters[.events] > events + 20_000 })
        #expect(loop.counters[.spinningDescriptors] == 1)
        let report = "warning a descriptor gets event after event"
        #expect(log.count(of: report) == 1)
        #expect(log.all.contains { $0.hasPrefix(report) && $0.contains("fd \(handle.fd): live") })
        poller.delete(handle)
        poller.delete(busy)
      }
    }

    @Test("tell of a tick that is too long, and not of sleep or of a late start")
    func longTick() async throws {
      let log = RecordedLog()
      var configuration = PollerConfiguration.tested()
      configuration.tickLimit = .milliseconds(600)
      configuration.logger = log.logger
      let poller = try Poller(configuration)
      try await Task.sleep(for: .milliseconds(700))
      try poller.start()
      let loop = poller.loops[0]
      await loop.settle()
      try await Task.sleep(for: .milliseconds(700))
      await loop.settle()
      #expect(loop.counters[.longTicks] == 0)
      let gate = await loop.hold()
      try await Task.sleep(for: .milliseconds(700))
      gate.open()
      #expect(await eventually { loop.counters[.longTicks] == 1 })
      #expect(loop.counters[.longestTickNanoseconds] >= 600_000_000)
      #expect(await eventually { log.count(of: "a tick was longer than its limit") == 1 })
      try poller.stop()
    }

    @Test("count wake-ups as sent when a loop sleeps, and as suppressed when it does not")
    func wakeUps() async throws {
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let gate = await loop.hold()
        let before = poller.snapshot().outside
        for _ in 0..<10 { loop.run {} }
        let awake = poller.snapshot().outside
        #expect(awake[.wakeUpsSuppressed] - before[.wakeUpsSuppressed] == 10)
        #expect(awake[.wakeUpsSent] == before[.wakeUpsSent])
        gate.open()
        await loop.settle()
        // Once it sleeps, the first letter wakes it.
        #expect(
          await eventually {
            loop.run {}
            return poller.snapshot().outside[.wakeUpsSent] > awake[.wakeUpsSent]
          })
      }
    }
  }
}

import CShims
import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("An idle poller")
  struct IdleTests {
    @Test("with a thousand connections sleeps, and uses no processor")
    func idle() async throws {
      // Two descriptors for each, and the poller's own.
      try #require(fdp_raise_descriptor_limit(4096) >= 2200)
      let pairs = (0..<1000).map { _ in SocketPair() }
      let probe = Probe()
      try await withTestedPoller(threads: 4) { poller in
        for pair in pairs { try poller.insert(pair.near, handler: probe) }
        for pair in pairs { pair.far.put() }
        #expect(await eventually { probe.calls >= 1000 })
        var threads: [ThreadFiles] = []
        for loop in poller.loops {
          await loop.settle()
          threads.append(await loop.call { ThreadFiles() })
        }
        #expect(await poller.fallsAsleep())
        let before = poller.snapshot().total
        let timeBefore = threads.map(\.processorTime)
        #expect(timeBefore.allSatisfy { $0 > 0 }, "the kernel counts processor time")
        try await Task.sleep(for: .seconds(2))
        let after = poller.snapshot().total
        #expect(after[.sleeps] == before[.sleeps] && after[.ticks] == before[.ticks])
        #expect(after[.events] == before[.events])
        for (thread, time) in zip(threads, timeBefore) {
          // 1 % of a processor would be 20 ms.
          #expect(thread.processorTime - time < 5_000_000)
        }
      }
      for pair in pairs { pair.far.closeForGood() }
    }

    @Test("without any descriptor does not tick at all")
    func empty() async throws {
      try await withTestedPoller(threads: 3) { poller in
        for loop in poller.loops { await loop.settle() }
        #expect(await poller.fallsAsleep())
      }
    }
  }
}

extension Poller {
  /// Waits until no loop ticks any more: what a test has just asked of them may still be on its way.
  func fallsAsleep() async -> Bool {
    await eventually {
      let ticks = snapshot().total[.ticks]
      return await always(for: .milliseconds(200)) { snapshot().total[.ticks] == ticks }
    }
  }
}

import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("A timer of a loop")
  struct LoopTimerTests {
    @Test("fires once, on its loop, never early; timers fire in the order of their times")
    func neverEarly() async throws {
      /// The loop reads the clock between two readings of the test.
      struct Firing {
        var earliest: UInt64
        var latest: UInt64
        var at: UInt64
      }
      let latest = Guarded<[UInt64]>([])
      let firings = Guarded<[Firing]>([])
      try await withTestedPoller(threads: 2) { poller in
        let loop = poller.loops[1]
        let delays = (0..<1000).map { _ in Duration.microseconds(Int.random(in: 0...120_000)) }
        await loop.call {
          for (index, delay) in delays.enumerated() {
            let earliest = EventLoop.clock() + delay.wholeNanoseconds
            loop.schedule(after: delay) {
              #expect(EventLoop.current === loop)
              let latest = latest.withLock { $0[index] }
              let firing = Firing(earliest: earliest, latest: latest, at: EventLoop.clock())
              firings.withLock { $0.append(firing) }
            }
            latest.withLock { $0.append(EventLoop.clock() + delay.wholeNanoseconds) }
          }
        }
        #expect(await eventually { firings.value.count == 1000 })
        #expect(poller.snapshot().loops[1][.timersFired] == 1000)
      }
      let all = firings.value
      #expect(all.allSatisfy { $0.at >= $0.earliest })
      // In order to the millisecond, which is the wheel's resolution.
      #expect(
        zip(all, all.dropFirst()).allSatisfy {
          $0.earliest / 1_000_000 <= $1.latest / 1_000_000 + 1
        })
    }

    @Test("that is cancelled never fires, and its closure is let go at once")
    func cancelled() async throws {
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let fired = Tally()
        let object = LiveObject()
        let result = await loop.call {
          weak var witness: LiveObject?
          var timers: [TimerID] = []
          do {
            let captured = LiveObject()
            witness = captured
            for _ in 0..<100 {
              timers.append(
                loop.schedule(after: .milliseconds(5)) {
                  _ = (object, captured)
                  fired.add()
                })
            }
          }
          let first = timers.map { loop.cancel($0) }
          let second = timers.map { loop.cancel($0) }
          return (
            first.allSatisfy { $0 }, second.allSatisfy { !$0 }, witness == nil
          )
        }
        #expect(result == (true, true, true))
        #expect(await always(for: .milliseconds(30)) { fired.value == 0 })
      }
    }

    @Test("may cancel another that is due at the same time, and add new ones")
    func fromATimer() async throws {
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let order = Guarded<[String]>([])
        await loop.call {
          let victim = Guarded<TimerID?>(nil)
          loop.schedule(after: .milliseconds(3)) {
            order.withLock { $0.append("first") }
            #expect(loop.cancel(victim.value!))
            loop.schedule(after: .zero) { order.withLock { $0.append("later") } }
          }
          victim.value = loop.schedule(after: .milliseconds(3)) {
            order.withLock { $0.append("victim") }
          }
          loop.schedule(after: .milliseconds(3)) { order.withLock { $0.append("last") } }
        }
        #expect(await eventually { order.value.contains("later") })
        #expect(order.value == ["first", "last", "later"])
      }
    }

    @Test("ends the sleep of its loop, and fires beside a descriptor that is always ready")
    func besideEvents() async throws {
      let event = FileDescriptor.event(count: 1)
      // Never reads: an event per tick.
      let probe = Probe { _, _ in }
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let fired = Tally()
        await loop.call { _ = loop.schedule(after: .milliseconds(5)) { fired.add() } }
        #expect(await eventually { fired.value == 1 })
        let handle = try poller.insert(event, handler: probe)
        #expect(await eventually { probe.calls > 10 })
        await loop.call { _ = loop.schedule(after: .milliseconds(5)) { fired.add() } }
        #expect(await eventually { fired.value == 2 })
        poller.delete(handle)
      }
      #expect(await probe.isClosedOnce())
    }

    @Test("of which there are many costs no wake-ups in between")
    func distant() async throws {
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let fired = Tally()
        await loop.call {
          for second in 0..<10_000 {
            _ = loop.schedule(after: .seconds(3600 + second)) { fired.add() }
          }
        }
        await loop.settle()
        let sleeps = loop.counters[.sleeps]
        try await Task.sleep(for: .milliseconds(200))
        // The wheel cascades now and then; a poll per millisecond would be 200.
        #expect(loop.counters[.sleeps] - sleeps < 20)
        #expect(fired.value == 0)
      }
    }
  }
}

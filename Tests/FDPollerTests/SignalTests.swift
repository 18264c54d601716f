import FDOwnership
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("A signal to a loop's thread")
  struct SignalTests {
    // Fails if EINTR is a failure of the wait, or if it is taken for the end of the time.
    @Test("ends a wait early, and that is all: timers are on time, and bytes are told")
    func interruptedWait() async throws {
      let number = SIGUSR2
      var before = sigaction()
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { _ in }
      try #require(sigaction(number, &action, &before) == 0)
      defer { sigaction(number, &before, nil) }
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        // Loops have every signal blocked.
        let thread = await loop.call {
          Self.change(number, SIG_UNBLOCK)
          return pthread_self()
        }
        try poller.insert(pair.near, handler: probe)
        await loop.settle()
        let (fired, delay) = (Guarded<UInt64?>(nil), Duration.seconds(1))
        let due = await loop.call { () -> UInt64 in
          let due = EventLoop.clock() + delay.wholeNanoseconds
          loop.schedule(after: delay) { fired.value = EventLoop.clock() }
          return due
        }
        for round in 1...50 {
          // Nobody else wakes the loop; a signal that comes before it sleeps does not either.
          let sleeps = loop.counters[.sleeps]
          let isInterrupted = await eventually {
            pthread_kill(thread, number) == 0 && loop.counters[.sleeps] > sleeps
          }
          try #require(isInterrupted)
          if round % 10 == 0 {
            pair.far.put()
            try #require(await eventually { probe.calls == round / 10 })
          }
        }
        try #require(await eventually { fired.value != nil })
        #expect(try #require(fired.value) >= due)
        await loop.settle()
        let ticks = loop.counters[.ticks]
        #expect(await always { loop.counters[.ticks] == ticks })
        if poller.loops[0].backend.uring != nil {
          #expect(loop.counters[.ringInterruptions] > 0)
        }
        await loop.call { Self.change(number, SIG_BLOCK) }
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    private static func change(_ number: Int32, _ how: Int32) {
      var set = sigset_t()
      sigemptyset(&set)
      sigaddset(&set, number)
      pthread_sigmask(how, &set, nil)
    }
  }
}

import Glibc
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Waiting for a time")
  struct DeadlineTests {
    @Test("a sleep lasts as long as it says, from a loop and from elsewhere")
    func sleeps() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        for isPinned in [true, false] {
          let slept = try await Task(executorPreference: isPinned ? loop : nil) {
            let start = ContinuousClock.now
            try await loop.sleep(for: .milliseconds(30))
            return ContinuousClock.now - start
          }.value
          #expect(slept >= .milliseconds(29))
        }
      }
    }

    @Test("a sleep ends when its task is cancelled, before it, in it, or after it")
    func cancelledSleeps() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        for pause in [0, 0, 0, 1, 1, 5] {
          for isPinned in [true, false] {
            let task = Task(executorPreference: isPinned ? loop : nil) {
              try await loop.sleep(for: .seconds(1000))
            }
            if pause > 0 { try await Task.sleep(for: .milliseconds(pause)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
          }
        }
        let task = Task { try await loop.sleep(for: .milliseconds(1)) }
        try await task.value
        task.cancel()
      }
    }

    @Test("a sleep ends with its poller, with an error that says so")
    func stoppedSleeps() async throws {
      var tasks: [Task<Void, any Error>] = []
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        for index in 0..<10 {
          tasks.append(
            Task(executorPreference: index % 2 == 0 ? loop : nil) {
              try await loop.sleep(for: .seconds(1000))
            })
        }
        try await Task.sleep(for: .milliseconds(5))
      }
      for task in tasks {
        await #expect(throws: PollerError.notRunning) { try await task.value }
      }
    }

    @Test(
      "a sleep on a loop that never starts ends with its poller, or with its task",
      arguments: [true, false])
    func sleepsWithoutThread(stops: Bool) async throws {
      var poller: Poller? = try Poller(.tested(threads: 1))
      let loop = try #require(poller).loops[0]
      let sleeps = (0..<3).map { _ in Task { try await loop.sleep(for: .seconds(1000)) } }
      let pinned = Task(executorPreference: loop) { try await loop.sleep(for: .seconds(1000)) }
      let cancelled = Task { try await loop.sleep(for: .seconds(1000)) }
      try await Task.sleep(for: .milliseconds(2))
      cancelled.cancel()
      if stops { try poller?.stop() }
      poller = nil
      for sleep in sleeps + [pinned] {
        await #expect(throws: PollerError.notRunning) { try await sleep.value }
      }
      await #expect(throws: CancellationError.self) { try await cancelled.value }
      await #expect(throws: PollerError.notRunning) { try await loop.sleep(for: .seconds(1000)) }
    }

    @Test("a deadline cancels what is late, waits for it, and says how long it had")
    func late() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        for isPinned in [true, false] {
          let sawCancellation = Guarded(false)
          let error = await #expect(throws: DeadlineExceeded.self) {
            try await Task(executorPreference: isPinned ? loop : nil) {
              try await withDeadline(.milliseconds(20)) {
                do {
                  try await loop.sleep(for: .seconds(1000))
                } catch {
                  sawCancellation.value = true
                  throw error
                }
              }
            }.value
          }
          #expect(error?.duration == .milliseconds(20))
          let text = "\(try #require(error))"
          #expect(text.contains("0.02 seconds"))
          #expect(sawCancellation.value)
        }
      }
    }

    @Test("what is in time is not disturbed: its result, its error, its executor")
    func inTime() async throws {
      struct Failure: Error {}
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        try await Task(executorPreference: loop) {
          let place = try await withDeadline(.seconds(1000)) {
            await Task.yield()
            return loop.isCurrent && !Task.isCancelled
          }
          #expect(place && loop.isCurrent)
          await #expect(throws: Failure.self) {
            try await withDeadline(.seconds(1000)) { throw Failure() }
          }
        }.value
      }
    }

    @Test("what an actor gives a deadline runs on the actor")
    func isolated() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let clerk = Clerk(poller.loops[0])
        let inTime = try await clerk.workInTime()
        #expect(inTime == [true, true, true])
        await #expect(throws: DeadlineExceeded.self) { try await clerk.workTooLong() }
        #expect(await clerk.places == [true, true])
      }
    }

    @Test("what succeeds in spite of its deadline is not lost")
    func stubborn() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        let value = try await Task(executorPreference: loop) {
          try await withDeadline(.milliseconds(1)) {
            while !Task.isCancelled { await Task.yield() }
            return 7
          }
        }.value
        #expect(value == 7)
      }
    }

    @Test("a deadline passes its caller's cancellation on")
    func cancelled() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        for pause in [0, 0, 1, 5] {
          let task = Task(executorPreference: loop) {
            try await withDeadline(.seconds(1000)) { try await loop.sleep(for: .seconds(1000)) }
          }
          if pause > 0 { try await Task.sleep(for: .milliseconds(pause)) }
          task.cancel()
          await #expect(throws: CancellationError.self) { try await task.value }
        }
      }
    }
  }
}

/// An actor that lives on a loop, and is called from elsewhere.
private actor Clerk {
  nonisolated let loop: EventLoop
  private(set) var places: [Bool] = []

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(_ loop: EventLoop) { self.loop = loop }

  func workInTime() async throws -> [Bool] {
    let loop = loop
    return try await withDeadline(.seconds(1000)) {
      var places = [loop.isCurrent]
      await Task.yield()
      places.append(loop.isCurrent)
      try await Task.sleep(for: .milliseconds(1))
      places.append(loop.isCurrent)
      return places
    }
  }

  func workTooLong() async throws {
    let loop = loop
    let seen = Guarded<[Bool]>([])
    defer { places = seen.value }
    try await withDeadline(.milliseconds(5)) {
      seen.withLock { $0.append(loop.isCurrent) }
      defer { seen.withLock { $0.append(loop.isCurrent) } }
      try await loop.sleep(for: .seconds(1000))
    }
  }
}

import CShims
import Glibc
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Tasks on a loop")
  struct ExecutorTests {
    @Test("a task that prefers a loop runs there, before and after every kind of wait")
    func pinned() async throws {
      try await withTestedPoller(threads: 2) { poller in
        let (home, other) = (poller.loops[0], poller.loops[1])
        let places = await Task(executorPreference: home) {
          var places = [home.isCurrent]
          await Task.yield()
          places.append(home.isCurrent)
          try? await Task.sleep(for: .milliseconds(1))
          places.append(home.isCurrent)
          try? await home.sleep(for: .milliseconds(1))
          places.append(home.isCurrent)
          try? await other.sleep(for: .milliseconds(1))
          places.append(home.isCurrent)
          places.append(await Resident(other).isAtHome)
          places.append(home.isCurrent)
          await withTaskExecutorPreference(other) { places.append(other.isCurrent) }
          places.append(home.isCurrent)
          async let child = home.isCurrent
          places.append(await child)
          await MainActor.run {}
          places.append(home.isCurrent)
          return places
        }.value
        #expect(places == Array(repeating: true, count: places.count))
      }
    }

    @Test(
      "an actor of a loop runs there, may assume its isolation, and is entered by one at a time")
    func actors() async throws {
      try await withTestedPoller(threads: 2) { poller in
        let resident = Resident(poller.loops[1])
        await withTaskGroup(of: Void.self) { group in
          for index in 0..<200 {
            group.addTask(executorPreference: index % 2 == 0 ? poller.loops[0] : nil) {
              await resident.count()
            }
          }
        }
        #expect(await resident.visits == 200)
        #expect(await resident.wasAlwaysAtHome)
        let isAssumed = await poller.loops[1].call {
          resident.assumeIsolated { $0.visits } == 200
        }
        #expect(isAssumed)
      }
    }

    @Test("what is enqueued runs in order, and not before the one who enqueues it has returned")
    func order() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        let order = Guarded<[Int]>([])
        await Task(executorPreference: loop) {
          var tasks: [Task<Void, Never>] = []
          for index in 0..<5000 {
            tasks.append(Task(executorPreference: loop) { order.withLock { $0.append(index) } })
          }
          #expect(order.value.isEmpty)
          for task in tasks { await task.value }
        }.value
        #expect(order.value == Array(0..<5000))
        #expect(poller.snapshot().total[.jobs] >= 5000)
      }
    }

    @Test("tasks that yield for ever keep a loop from nothing")
    func yielders() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        let isOver = Guarded(false)
        let pair = SocketPair()
        let probe = Probe()
        let handle = try poller.insert(pair.near, handler: probe)
        await withTaskGroup(of: Void.self) { group in
          for _ in 0..<3 {
            group.addTask(executorPreference: loop) {
              while !isOver.value { await Task.yield() }
            }
          }
          pair.far.put()
          #expect(await eventually { probe.calls > 0 })
          try? await loop.sleep(for: .milliseconds(5))
          isOver.value = true
        }
        poller.delete(handle)
        pair.far.closeForGood()
      }
    }

    @Test("a thousand jobs for a loop that sleeps wake it once, or a few times")
    func wakeUps() async throws {
      try await withTestedPoller(threads: 1) { poller in
        let loop = poller.loops[0]
        let gate = Gate()
        #expect(loop.run { gate.wait() })
        #expect(await eventually { gate.holdsSomebody })
        let before = poller.snapshot().total[.wakeUpsSent]
        let tasks = (0..<1000).map { _ in Task(executorPreference: loop) { loop.isCurrent } }
        let sent = poller.snapshot().total[.wakeUpsSent] - before
        gate.open()
        for task in tasks { #expect(await task.value) }
        #expect(sent <= 1)
      }
    }

    @Test("a task that outlives its poller goes on, one piece at a time")
    func afterlife() async throws {
      let (release, gate) = AsyncStream<Void>.makeStream()
      let count = Guarded((inside: 0, most: 0, done: 0))
      var tasks: [Task<Void, Never>] = []
      try await withTestedPoller(threads: 1) { poller in
        let resident = Resident(poller.loops[0])
        for _ in 0..<20 {
          tasks.append(
            Task(executorPreference: poller.loops[0]) {
              for await _ in release {}
              for _ in 0..<10 {
                count.withLock {
                  $0.inside += 1
                  $0.most = max($0.most, $0.inside)
                }
                usleep(50)
                count.withLock { $0.inside -= 1 }
                await Task.yield()
                await resident.count()
              }
              await #expect(throws: PollerError.notRunning) {
                try await resident.loop.sleep(for: .seconds(100))
              }
              count.withLock { $0.done += 1 }
            })
        }
      }
      gate.finish()
      for task in tasks { await task.value }
      #expect(count.value.done == 20)
      #expect(count.value.most == 1)
    }

    @Test("a poller may go with the last task that knows it, whoever has just queued that")
    func lastTask() async throws {
      for _ in 0..<100 {
        let poller = try Poller(.tested(threads: 1))
        try poller.start()
        let task = Task { [loop = poller.loops[0]] in
          await Resident(loop).count()
          await withTaskExecutorPreference(loop) { await Task.yield() }
        }
        try poller.stop()
        await task.value
      }
    }

    @Test("the tasks of a poller that is never started are run when it goes")
    func neverStarted() async throws {
      for stops in [true, false] {
        var poller: Poller? = try Poller(.tested(threads: 1))
        let task = Task(executorPreference: try #require(poller).loops[0]) { 7 }
        if stops { try poller?.stop() }
        poller = nil
        #expect(await task.value == 7)
      }
    }

    @Test("a scope stops its poller, whatever comes of it")
    func scope() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await FDPoller.withPoller(.tested(threads: 2)) { poller in
        _ = try poller.insert(pair.near, handler: probe)
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
      var escaped: Poller?
      await #expect(throws: CancellationError.self) {
        try await FDPoller.withPoller(threads: 1) { poller in
          escaped = poller
          throw CancellationError()
        }
      }
      #expect(escaped?.loops[0].run {} == false)
    }
  }
}

/// An actor that lives on a loop.
private actor Resident {
  nonisolated let loop: EventLoop
  private(set) var visits = 0
  private(set) var wasAlwaysAtHome = true

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(_ loop: EventLoop) { self.loop = loop }

  var isAtHome: Bool { loop.isCurrent }

  func count() {
    visits += 1
    wasAlwaysAtHome = wasAlwaysAtHome && (loop.isCurrent || loop.hasEnded)
  }
}

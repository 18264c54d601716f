import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("A closure for a loop")
  struct MailTests {
    @Test("runs on its thread, in the order of each producer, while loops and threads post at once")
    func order() async throws {
      let seen = Guarded<[Int: [Int]]>([:])
      let misplaced = Tally()
      try await withTestedPoller(threads: 3) { poller in
        let target = poller.loops[0]
        @Sendable func post(_ count: Int, by producer: Int) {
          for number in 0..<count {
            target.run {
              if EventLoop.current !== target { misplaced.add() }
              seen.withLock { $0[producer, default: []].append(number) }
            }
          }
        }
        poller.loops[1].run { post(2000, by: 1) }
        poller.loops[2].run { post(2000, by: 2) }
        target.run { post(2000, by: 0) }
        await withTaskGroup { group in
          for producer in 3...4 { group.addTask { post(2000, by: producer) } }
        }
        #expect(
          await eventually { seen.withLock { $0.values.map(\.count).reduce(0, +) } == 10_000 })
      }
      #expect(misplaced.value == 0)
      for (_, numbers) in seen.value { #expect(numbers == Array(0..<2000)) }
    }

    @Test("never runs inside the call that gives it, and neither does a delete's departure")
    func notInside() async throws {
      let log = Guarded<[String]>([])
      try await withTestedPoller { poller in
        let loop = poller.loops[0]
        let event = FileDescriptor.event()
        final class Noting: DescriptorHandler, @unchecked Sendable {
          let log: Guarded<[String]>
          init(_ log: Guarded<[String]>) { self.log = log }
          override func departed(_ handle: FDHandle, _ departure: Departure) {
            log.withLock { $0.append("departed") }
          }
        }
        let handle = try poller.insert(event, handler: Noting(log))
        await loop.call {
          loop.run { log.withLock { $0.append("ran") } }
          loop.schedule(after: .zero) { log.withLock { $0.append("fired") } }
          loop.delete(handle)
          log.withLock { $0.append("returned") }
        }
        #expect(await eventually { log.value.count == 4 })
        #expect(log.value.first == "returned")
        #expect(Set(log.value) == ["returned", "ran", "fired", "departed"])
      }
    }

    @Test("that gives itself again does not keep the loop from its descriptors and timers")
    func repeating() async throws {
      let rounds = Tally()
      let isOver = Tally()
      @Sendable func again() {
        rounds.add()
        if isOver.value == 0 { EventLoop.current?.run { again() } }
      }
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller { poller in
        try poller.insert(pair.near, handler: probe)
        let fired = Tally()
        poller.loops[0].run { again() }
        await poller.loops[0].call {
          _ = EventLoop.current?.schedule(after: .milliseconds(2)) { fired.add() }
        }
        pair.far.put()
        #expect(await eventually { probe.calls == 1 && fired.value == 1 && rounds.value > 100 })
        isOver.add()
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("is released when it has run")
    func released() async throws {
      try await withTestedPoller { poller in
        let object = Guarded<LiveObject?>(LiveObject())
        weak let witness = object.value
        poller.loops[0].run { [object = object.value] in _ = object }
        object.value = nil
        #expect(await eventually { witness == nil })
      }
    }
  }
}

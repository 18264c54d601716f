import FDOwnership
import SystemPackage
import TestKit
import Testing

@testable import FDPoller

extension PollerTests {
  @Suite("Disowning")
  struct DisownTests {
    @Test(
      "gives the descriptor back, open and watched by nobody; its owner closes it (LIBRARY_OWNED)")
    func libraryOwned() async throws {
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller(threads: 2) { poller in
        let handle = try poller.insert(pair.near, handler: probe, on: .loop(poller.loops[1]))
        pair.far.put()
        #expect(await eventually { probe.calls == 1 })
        #expect(poller.disown(handle))
        #expect(await probe.departs(as: .disowned(pair.near)))
        #expect(!poller.disown(handle) && !poller.delete(handle))
        let events = poller.snapshot().total[.events]
        pair.far.put()
        #expect(await always { poller.snapshot().total[.events] == events })
        #expect(pair.near.drain() == 1)
        #expect(poller.snapshot().total[.disowned] == 1)
      }
      pair.near.closeForGood()
      pair.far.closeForGood()
    }

    @Test("and inserting again goes round, in the same poller and in others")
    func again() async throws {
      let pair = SocketPair()
      try await withTestedPoller(threads: 2) { first in
        try await withTestedPoller { second in
          var handles: Set<FDHandle> = []
          for (round, poller) in [first, second, first, first, second].enumerated() {
            let probe = Probe()
            let handle = try poller.insert(pair.near, handler: probe)
            if poller === first { #expect(handles.insert(handle).inserted) }
            pair.far.put(UInt8(round))
            #expect(await eventually { probe.calls == 1 })
            #expect(poller.disown(handle))
            #expect(await probe.departs(as: .disowned(pair.near)))
          }
        }
      }
      pair.near.closeForGood()
      pair.far.closeForGood()
    }

    @Test("from departed itself, the descriptor can be inserted elsewhere at once")
    func fromDeparted() async throws {
      final class Traveller: DescriptorHandler, @unchecked Sendable {
        let next: Poller
        let probe: Probe
        let failure = Guarded<PollerError?>(nil)
        init(_ next: Poller, _ probe: Probe) {
          self.next = next
          self.probe = probe
        }
        override func departed(_ handle: FDHandle, _ departure: Departure) {
          guard case .disowned(let descriptor) = departure else { return }
          do throws(PollerError) {
            try next.insert(descriptor, handler: probe)
          } catch {
            failure.value = error
          }
        }
      }
      let pair = SocketPair()
      let probe = Probe()
      try await withTestedPoller { second in
        let traveller = Traveller(second, probe)
        try await withTestedPoller { first in
          let handle = try first.insert(pair.near, handler: traveller)
          first.disown(handle)
          pair.far.put()
          #expect(await eventually { probe.calls == 1 })
          #expect(traveller.failure.value == nil)
        }
      }
      #expect(await probe.isClosedOnce())
      pair.far.closeForGood()
    }

    @Test("while somebody is inside takes effect when the last has left")
    func whileInside() async throws {
      let pair = SocketPair()
      let held = HeldProbe()
      try await withTestedPoller { poller in
        let handle = try poller.insert(pair.near, handler: held.probe)
        pair.far.put()
        #expect(await eventually { held.gate.holdsSomebody })
        #expect(poller.disown(handle))
        #expect(!poller.delete(handle))
        #expect(await always { held.probe.departures.isEmpty })
        held.gate.open()
        #expect(await held.probe.departs(as: .disowned(pair.near)))
      }
      pair.near.closeForGood()
      pair.far.closeForGood()
    }
  }
}

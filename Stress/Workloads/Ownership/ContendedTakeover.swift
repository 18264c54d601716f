import Dispatch
import FDOwnership
import FDPoller
import Synchronization

/// One descriptor that two threads take over from each other, each as often as it can.
final class ContendedTakeover: Repetitions, @unchecked Sendable {
  fileprivate let ownership = Ownership<CustodyWord>()
  fileprivate let parking = ParkingTicket<CustodyWord>()
  fileprivate let generation: Generation
  private let loops: Loops

  init() throws {
    loops = try Loops(2)
    guard let generation = ownership.seal() else { preconditionFailure("a new word is free") }
    self.generation = generation
    ownership.publish(group: 1, threads: loops.first.bit.mask)
    parking.park(generation)
  }

  func run(_ count: Int) -> Duration {
    let ready = Ready()
    let done = DispatchGroup()
    for loop in loops.poller.loops {
      done.enter()
      let share = (count + loop.index) / 2
      loop.run {
        ready.wait(for: 2)
        takeOverFromAnother(self, loop.bit, loop.index, share)
        done.leave()
      }
    }
    return timed { done.wait() }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_takeover_contended")
@inline(never)
func takeOverFromAnother(_ it: ContendedTakeover, _ me: ThreadBit, _ loop: Int, _ count: Int) {
  var left = count
  while left > 0 {
    guard it.parking.takeOver(it.ownership, it.generation, as: me, by: loop) == .taken else {
      continue
    }
    _ = it.ownership.leave(as: me)
    it.parking.park(it.generation)
    left -= 1
  }
}

/// Where threads spin until all of them are there.
private final class Ready: Sendable {
  private let count = Atomic(0)

  func wait(for all: Int) {
    count.add(1, ordering: .relaxed)
    while count.load(ordering: .relaxed) < all {}
  }
}

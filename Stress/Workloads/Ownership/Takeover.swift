import FDOwnership
import FDPoller

/// A parked descriptor that goes from one thread to another, as far as the words are concerned.
final class Takeover: Repetitions {
  fileprivate let ownership = Ownership<CustodyWord>()
  fileprivate let parking = ParkingTicket<CustodyWord>()
  fileprivate let generation: Generation
  /// In different groups, as the loops of a large poller are.
  fileprivate let thieves = (ThreadBit(group: 1, index: 0), ThreadBit(group: 2, index: 3))

  init() {
    guard let generation = ownership.seal() else { preconditionFailure("a new word is free") }
    self.generation = generation
    ownership.publish(group: 1, threads: thieves.0.mask)
    parking.park(generation)
  }

  func run(_ count: Int) -> Duration {
    timed { takeOverAlone(self, count) }
  }

  @inline(__always)
  fileprivate func takeOver(as thief: ThreadBit, by loop: Int) {
    let result = parking.takeOver(ownership, generation, as: thief, by: loop)
    guard result == .taken, ownership.leave(as: thief) == .none else {
      preconditionFailure("nobody else is here")
    }
    parking.park(generation)
  }
}

@_silgen_name("workload_takeover")
@inline(never)
func takeOverAlone(_ it: Takeover, _ count: Int) {
  for turn in 0..<count {
    if turn & 1 == 0 {
      it.takeOver(as: it.thieves.0, by: 0)
    } else {
      it.takeOver(as: it.thieves.1, by: 1)
    }
  }
}

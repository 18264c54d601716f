import FDOwnership
import FDPoller

/// What a loop does to the ownership word for each event.
final class EnterLeave: Repetitions {
  fileprivate let ownership = Ownership<CustodyWord>()
  fileprivate let me = ThreadBit(group: 1, index: 0)
  fileprivate let generation: Generation

  init() {
    guard let generation = ownership.seal() else { preconditionFailure("a new word is free") }
    self.generation = generation
    ownership.publish(group: 1, threads: me.mask)
  }

  func run(_ count: Int) -> Duration {
    timed { enterAndLeave(self, count) }
  }
}

@_silgen_name("workload_enter_leave")
@inline(never)
func enterAndLeave(_ it: EnterLeave, _ count: Int) {
  for _ in 0..<count {
    guard it.ownership.enter(it.generation, as: it.me) == .entered,
      it.ownership.leave(as: it.me) == .none
    else { preconditionFailure("nobody else is here") }
  }
}

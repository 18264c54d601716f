import FDOwnership
import FDPoller

// Never-inlined copies of the ownership word's fast paths, specialised for the hardware word as in
// the event loop, for a test that disassembles them: straight atomic instructions, no call, no jump
// out.

/// `Ownership.enter`
@_silgen_name("fd_probe_enter")
@inline(never)
public func probeEnter(
  _ ownership: UnsafeRawPointer, _ generation: UInt64,
  _ me: UnsafeRawPointer
) -> Bool {
  ownership.assumingMemoryBound(to: Ownership<CustodyWord>.self).pointee
    .enter(Generation(rawValue: generation), as: me.assumingMemoryBound(to: ThreadBit.self).pointee)
    == .entered
}

/// `Ownership.leave`
@_silgen_name("fd_probe_leave")
@inline(never)
public func probeLeave(
  _ ownership: UnsafeRawPointer, _ me: UnsafeRawPointer
) -> Bool {
  ownership.assumingMemoryBound(to: Ownership<CustodyWord>.self).pointee
    .leave(as: me.assumingMemoryBound(to: ThreadBit.self).pointee) == .none
}

/// `Ownership.takeOver`
@_silgen_name("fd_probe_takeover")
@inline(never)
public func probeTakeover(
  _ ownership: UnsafeRawPointer, _ generation: UInt64,
  _ me: UnsafeRawPointer
) -> Bool {
  ownership.assumingMemoryBound(to: Ownership<CustodyWord>.self).pointee
    .takeOver(
      Generation(rawValue: generation), as: me.assumingMemoryBound(to: ThreadBit.self).pointee)
    == .taken
}

let ownership = UnsafeMutablePointer<Ownership<CustodyWord>>.allocate(capacity: 1)
ownership.initialize(to: Ownership())
var me = ThreadBit(group: 1, index: 0)
let generation = ownership.pointee.seal()!
ownership.pointee.publish(group: 1, threads: me.mask)
let entered = probeEnter(ownership, generation.rawValue, &me)
let left = probeLeave(ownership, &me)
let taken = probeTakeover(ownership, generation.rawValue, &me)
print(entered && left && taken ? "the probes work" : "the probes do not work")

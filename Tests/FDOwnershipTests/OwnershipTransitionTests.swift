import FDAtomics
import Testing

@testable import FDOwnership

private let me = ThreadBit(group: 1, index: 3)
private let other = ThreadBit(group: 1, index: 0)
/// Another thread with the same bit.
private let twin = ThreadBit(group: 2, index: 3)

/// Every state that the word can be in, as far as it matters to thread `me`: with itself and another thread
/// in and out of both masks, in its group and another, with each fate, and with the generation asked for and
/// others, one of which has the same low 24 bits.
private let states: [CustodyState] = {
  let masks: [ThreadMask] = [[], me.mask, other.mask, me.mask.union(other.mask)]
  var states: [CustodyState] = []
  for generation in [7, 6, 8, 7 + 1 << 24, 1 << 44 - 1] as [UInt64] {
    states.append(CustodyState(generation: generation))
    states.append(CustodyState(generation: generation, fate: .sealed))
    for group in [1, 2, 63] {
      for running in masks {
        for threads in masks.dropFirst() {
          states.append(
            CustodyState(generation: generation, group: group, running: running, threads: threads))
        }
        for fate in [Fate.condemned, .disowned] {
          states.append(
            CustodyState(generation: generation, group: group, fate: fate, running: running))
        }
      }
    }
  }
  return states
}()

@Suite("Every transition, from every state")
struct OwnershipTransitionTests {
  /// Does the same to the word and to the model, and compares what they answer and what they become.
  private func agree<Answer: Equatable>(
    _ action: (any Custody) -> Answer, where isLegal: (CustodyState) -> Bool = { _ in true },
    leavesAloneUnless hasSucceeded: (Answer) -> Bool
  ) {
    var successes = 0
    var failures = 0
    for state in states where isLegal(state) {
      let model = CustodyModel(state)
      let expected = action(model)
      if hasSucceeded(expected) {
        successes += 1
        #expect(model.word != state.word)
      } else {
        failures += 1
        #expect(model.word == state.word, "a failure changes nothing")
      }
      let hardware = RealCustody<HardwareWord>(state)
      #expect(action(hardware) == expected, "from \(OwnershipState(rawValue: state.word))")
      #expect(hardware.word == model.word, "from \(OwnershipState(rawValue: state.word))")

      // The same where the swap fails a few times for no reason.
      let rigged = RealCustody<RiggedWord>(state)
      rigged.ownership.word.rig.spuriousFailures = 3
      #expect(action(rigged) == expected, "from \(OwnershipState(rawValue: state.word))")
      #expect(rigged.word == model.word, "from \(OwnershipState(rawValue: state.word))")
    }
    #expect(successes > 0 && failures > 0)
  }

  @Test("enter is as the table says")
  func enter() {
    agree({ $0.enter(7, as: me) }, leavesAloneUnless: { $0 == .entered })
  }

  @Test("leave is as the table says")
  func leave() {
    // Every leave by a thread that is inside succeeds.
    for state in states where state.running.contains(me.mask) && state.group == me.group {
      let model = CustodyModel(state)
      let duty = model.leave(as: me)
      #expect((duty != .none) == (state.running == me.mask && state.fate != .live))
      for custody in [RealCustody<HardwareWord>(state), RealCustody<RiggedWord>(state)]
        as [any Custody]
      {
        #expect(custody.leave(as: me) == duty)
        #expect(custody.word == model.word, "from \(OwnershipState(rawValue: state.word))")
      }
    }
  }

  @Test("takeover is as the table says")
  func takeOver() {
    agree({ $0.takeOver(7, as: me) }, leavesAloneUnless: { $0 == .taken })
  }

  @Test("delete is as the table says")
  func delete() {
    agree({ $0.delete(7) }, leavesAloneUnless: { $0 != .alreadyGone })
  }

  @Test("disown is as the table says")
  func disown() {
    agree({ $0.disown(7) }, leavesAloneUnless: { $0 != .alreadyGone })
  }

  @Test("seal is as the table says")
  func seal() {
    agree({ $0.seal() }, leavesAloneUnless: { $0 != nil })
  }

  @Test("publish and free end a seal as the table says")
  func endOfSeal() {
    for state in states where state.group == 0 && state.fate == .sealed {
      for end in [{ $0.publish(group: 5, threads: ThreadMask(rawValue: 9)) }, { $0.free() }]
        as [(any Custody) -> Void]
      {
        let model = CustodyModel(state)
        let real = RealCustody<HardwareWord>(state)
        end(model)
        end(real)
        #expect(real.word == model.word)
        #expect(real.ownership.generation.rawValue == model.state.generation)
      }
    }
  }

  @Test("a reader that saw the whole generation just before a free is told by the word")
  func generationBesideTheWord() {
    // The whole generation is written first, so for a moment it and the word differ, either way round for a
    // reader that reads them one after the other.
    let custody = RealCustody<HardwareWord>(
      CustodyState(generation: 8, group: 1, threads: me.mask))
    custody.ownership.wholeGeneration.storeRelaxed(7)
    let before = custody.word
    #expect(custody.enter(7, as: me) == .stale)
    #expect(custody.takeOver(7, as: me) == .stale)
    #expect(custody.delete(7) == .alreadyGone)
    #expect(custody.disown(7) == .alreadyGone)
    #expect(custody.word == before)
  }
}

@Suite("The rules of custody")
struct OwnershipRuleTests {
  @Test("a life: insert, event, delete from inside, close by the last leaver, the number again")
  func life() {
    let ownership = Ownership<HardwareWord>()
    let first = ownership.seal()
    #expect(first == Generation(rawValue: 0))
    #expect(ownership.state.isSealed)
    ownership.publish(group: 1, threads: me.mask)
    #expect(ownership.enter(first!, as: me) == .entered)
    #expect(ownership.delete(first!) == .deferred)
    #expect(ownership.leave(as: me) == .close)
    #expect(ownership.state.isSealed)
    ownership.free()
    #expect(ownership.generation == Generation(rawValue: 1))
    #expect(ownership.enter(first!, as: me) == .stale)
    #expect(ownership.seal() == Generation(rawValue: 1))
  }

  @Test("a second insert of an occupied or sealed slot is refused and changes nothing")
  func occupied() {
    let ownership = Ownership<HardwareWord>()
    _ = ownership.seal()
    #expect(ownership.seal() == nil)
    ownership.publish(group: 1, threads: me.mask)
    let before = ownership.state
    #expect(ownership.seal() == nil)
    #expect(ownership.state == before)
  }

  @Test("the 24 bits of the generation in the word wrap, and the 44 beside it tell the two apart")
  func wrapOfTheWord() {
    let last: UInt64 = 1 << 24 - 1
    let custody = RealCustody<HardwareWord>(CustodyState(generation: last, fate: .sealed))
    custody.free()
    #expect(custody.word == 0)
    #expect(custody.seal() == 1 << 24)
    custody.publish(group: 1, threads: me.mask)
    let before = custody.word
    // Generation 0 has the same 24 bits.
    #expect(custody.enter(0, as: me) == .stale)
    #expect(custody.takeOver(0, as: me) == .stale)
    #expect(custody.delete(0) == .alreadyGone)
    #expect(custody.enter(last, as: me) == .stale)
    #expect(custody.word == before)
    #expect(custody.enter(1 << 24, as: me) == .entered)
  }

  @Test("the 44 bits wrap to zero, and nothing of the carry reaches another field")
  func wrapOfTheWhole() {
    let last: UInt64 = 1 << 44 - 1
    let custody = RealCustody<HardwareWord>(
      CustodyState(generation: last, group: 63, threads: ThreadMask(rawValue: 0xFFFF)))
    #expect(custody.delete(last) == .claimed(.close))
    custody.free()
    #expect(custody.word == 0 && custody.ownership.generation == Generation(rawValue: 0))
    #expect(custody.seal() == 0)
    custody.publish(group: 1, threads: me.mask)
    #expect(custody.enter(last, as: me) == .stale)
    #expect(custody.enter(0, as: me) == .entered)
  }

  @Test("sixteen threads are inside at once, and the last of them closes", arguments: [1, 63])
  func sixteen(group: Int) {
    let bits = (0..<16).map { ThreadBit(group: group, index: $0) }
    let generation: UInt64 = 1 << 24 - 1
    let custody = RealCustody<HardwareWord>(
      CustodyState(generation: generation, group: group, threads: ThreadMask(rawValue: 0xFFFF)))
    for bit in bits { #expect(custody.enter(generation, as: bit) == .entered) }
    #expect(custody.ownership.state.running == ThreadMask(rawValue: 0xFFFF))
    #expect(custody.ownership.state.group == group)
    #expect(custody.ownership.state.generationBits == generation)
    for bit in bits { #expect(custody.enter(generation, as: bit) == .inside) }
    #expect(custody.takeOver(generation, as: bits[5]) == .busy)
    #expect(custody.delete(generation) == .deferred)
    for bit in bits.shuffled() {
      #expect(custody.enter(generation, as: bit) == .lost)
      let isLast = custody.ownership.state.running == bit.mask
      #expect(custody.leave(as: bit) == (isLast ? .close : .none))
    }
    #expect(custody.ownership.state.isSealed)
    #expect(custody.ownership.state.generationBits == generation)
  }

  @Test("GROUP_BIT: the same bit of another group does not enter")
  func groupBit() {
    let custody = RealCustody<HardwareWord>(CustodyState(group: 1, threads: me.mask))
    #expect(custody.enter(0, as: twin) == .lost)
    #expect(custody.takeOver(0, as: twin) == .taken)
    #expect(custody.ownership.state.group == 2)
    #expect(custody.enter(0, as: me) == .lost)
    #expect(custody.enter(0, as: twin) == .inside)
    #expect(custody.leave(as: twin) == .none)
    #expect(custody.enter(0, as: me) == .lost)
    #expect(custody.enter(0, as: twin) == .entered)
  }

  @Test("NESTED_ENTER: who is inside by a takeover does not enter again, and leaves once")
  func nestedEnter() {
    let custody = RealCustody<HardwareWord>(CustodyState(group: 1, threads: other.mask))
    #expect(custody.takeOver(0, as: me) == .taken)
    #expect(custody.enter(0, as: me) == .inside)
    #expect(custody.delete(0) == .deferred)
    #expect(custody.ownership.state.running == me.mask)
    #expect(custody.leave(as: me) == .close)
  }

  @Test("CLOSING_TAKEN: what is condemned, disowned or sealed is neither taken nor deleted again")
  func closingTaken() {
    for fate in [Fate.condemned, .disowned] {
      let custody = RealCustody<HardwareWord>(
        CustodyState(group: 1, fate: fate, running: other.mask))
      let before = custody.word
      #expect(custody.takeOver(0, as: me) == .closing)
      #expect(custody.delete(0) == .alreadyGone)
      #expect(custody.disown(0) == .alreadyGone)
      #expect(custody.enter(0, as: me) == .lost)
      #expect(custody.word == before)
    }
    let sealed = RealCustody<HardwareWord>(CustodyState(group: 1, threads: me.mask))
    #expect(sealed.delete(0) == .claimed(.close))
    let before = sealed.word
    #expect(sealed.takeOver(0, as: me) == .stale)
    #expect(sealed.delete(0) == .alreadyGone)
    #expect(sealed.disown(0) == .alreadyGone)
    #expect(sealed.enter(0, as: me) == .lost)
    #expect(sealed.seal() == nil)
    #expect(sealed.word == before)
  }

  @Test("a disowned descriptor is let go, by the disowner or by the last leaver")
  func disown() {
    let idle = RealCustody<HardwareWord>(CustodyState(group: 1, threads: me.mask))
    #expect(idle.disown(0) == .claimed(.letGo))
    let inside = RealCustody<HardwareWord>(CustodyState(group: 1, threads: me.mask))
    #expect(inside.enter(0, as: me) == .entered)
    #expect(inside.disown(0) == .deferred)
    #expect(inside.delete(0) == .alreadyGone)
    #expect(inside.leave(as: me) == .letGo)
  }

  @Test("a takeover of a shared descriptor makes it one thread's")
  func takeOverOfShared() {
    let custody = RealCustody<HardwareWord>(
      CustodyState(group: 1, threads: me.mask.union(other.mask)))
    #expect(custody.takeOver(0, as: me) == .taken)
    #expect(custody.ownership.state.threads == me.mask)
    #expect(custody.enter(0, as: other) == .lost)
  }
}

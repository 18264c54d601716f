import FDAtomics
import Testing

@testable import FDOwnership

private let me = ThreadBit(group: 1, index: 3)
private let other = ThreadBit(group: 1, index: 0)
private let twin = ThreadBit(group: 2, index: 3)
private let generation: UInt64 = 1 << 24 + 5

/// What one thread does to a descriptor, from begin to end; in its words.
private struct Program: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let run: @Sendable (any Custody) -> [String]

  init(_ name: String, _ run: @escaping @Sendable (any Custody) -> [String]) {
    testDescription = name
    self.run = run
  }

  static func visit(_ name: String, as bit: ThreadBit) -> Program {
    Program(name) {
      let entry = $0.enter(generation, as: bit)
      return ["\(entry)"] + (entry == .entered ? depart($0, $0.leave(as: bit)) : [])
    }
  }

  static func theft(_ name: String, as bit: ThreadBit) -> Program {
    Program(name) {
      let takeover = $0.takeOver(generation, as: bit)
      return ["\(takeover)"] + (takeover == .taken ? depart($0, $0.leave(as: bit)) : [])
    }
  }

  /// Runs the orphan deletion, and takes the number in again, as an accept on another thread would.
  static func depart(_ custody: any Custody, _ duty: Duty) -> [String] {
    guard duty != .none else { return [] }
    custody.free()
    guard custody.seal() != nil else { return ["\(duty)", "occupied"] }
    custody.publish(group: 1, threads: me.mask)
    return ["\(duty)", "reused"]
  }

  static func end(_ name: String, _ end: @escaping @Sendable (any Custody) -> Deletion) -> Program {
    Program(name) { custody in
      let deletion = end(custody)
      if case .claimed(let duty) = deletion { return ["\(deletion)"] + depart(custody, duty) }
      return ["\(deletion)"]
    }
  }

  static let all: [Program] = [
    Program("enter and stay") { ["\($0.enter(generation, as: other))"] },
    .visit("enter and leave", as: other),
    Program("take over and stay") { ["\($0.takeOver(generation, as: other))"] },
    .theft("take over and leave", as: other),
    .theft("take over into another group", as: twin),
    .end("delete", { $0.delete(generation) }),
    .end("disown", { $0.disown(generation) }),
  ]
}

/// Between a thread's look at the word and its swap, other threads may do anything.
@Suite("An operation that is overtaken between its look and its swap")
struct OwnershipInterferenceTests {
  private static let starts: [CustodyState] = [
    CustodyState(generation: generation, group: 1, threads: me.mask),
    CustodyState(generation: generation, group: 1, threads: me.mask.union(other.mask)),
    CustodyState(
      generation: generation, group: 1, running: other.mask, threads: me.mask.union(other.mask)),
    CustodyState(generation: generation, group: 1, threads: other.mask),
    CustodyState(generation: generation, group: 1, fate: .condemned, running: other.mask),
    CustodyState(generation: generation, group: 2, threads: twin.mask),
  ]

  private struct Outcome: Hashable {
    var mine: [String]
    var theirs: [String]
    var word: UInt64
  }

  /// Every outcome that the table allows: the other program before, after, or before the claim.
  private func allowed(
    _ mine: (any Custody) -> [String], _ theirs: Program, from start: CustodyState
  ) -> Set<Outcome> {
    let before = CustodyModel(start)
    let theirsBefore = theirs.run(before)
    let mineAfter = mine(before)
    let after = CustodyModel(start)
    let mineBefore = mine(after)
    let theirsAfter = theirs.run(after)
    let between = CustodyModel(start)
    var theirsBetween: [String] = []
    between.beforeClaim = { [unowned between] in
      between.beforeClaim = nil
      theirsBetween = theirs.run(between)
    }
    let mineAround = mine(between)
    return [
      Outcome(mine: mineAfter, theirs: theirsBefore, word: before.word),
      Outcome(mine: mineBefore, theirs: theirsAfter, word: after.word),
      Outcome(mine: mineAround, theirs: theirsBetween, word: between.word),
    ]
  }

  /// Runs `mine` on the word with `theirs` right before each of its swaps in turn.
  private func check(_ mine: (any Custody) -> [String], against theirs: Program) {
    var overtaken = 0
    for start in Self.starts {
      let allowed = allowed(mine, theirs, from: start)
      for swap in 0..<4 {
        let custody = RealCustody<RiggedWord>(start)
        var theirAnswers: [String]?
        custody.ownership.word.rig.beforeSwap = { number in
          if number == swap && theirAnswers == nil { theirAnswers = theirs.run(custody) }
        }
        let answers = mine(custody)
        custody.ownership.word.rig.beforeSwap = nil
        guard let theirAnswers else { continue }
        overtaken += 1
        let outcome = Outcome(mine: answers, theirs: theirAnswers, word: custody.word)
        #expect(
          allowed.contains(outcome),
          "\(outcome) before swap \(swap) from \(OwnershipState(rawValue: start.word))")
      }
    }
    #expect(overtaken > 0)
  }

  @Test("enters what it finds then, or not at all", arguments: Program.all)
  fileprivate func enter(theirs: Program) {
    check({ ["\($0.enter(generation, as: me))"] }, against: theirs)
  }

  @Test("takes over what it finds then, or not at all", arguments: Program.all)
  fileprivate func takeOver(theirs: Program) {
    check({ ["\($0.takeOver(generation, as: me))"] }, against: theirs)
    check({ ["\($0.takeOver(generation, as: twin))"] }, against: theirs)
  }

  @Test("deletes once", arguments: Program.all)
  fileprivate func delete(theirs: Program) {
    check({ ["\($0.delete(generation))"] }, against: theirs)
    check({ ["\($0.disown(generation))"] }, against: theirs)
  }

  @Test("CAS_FORCES: a takeover whose swap failed does not seize what somebody has entered since")
  func casForces() {
    let custody = RealCustody<RiggedWord>(
      CustodyState(generation: generation, group: 1, threads: other.mask))
    custody.ownership.word.rig.beforeSwap = { number in
      if number == 0 { #expect(custody.enter(generation, as: other) == .entered) }
    }
    #expect(custody.takeOver(generation, as: me) == .busy)
    custody.ownership.word.rig.beforeSwap = nil
    #expect(custody.ownership.state.running == other.mask)
    #expect(custody.leave(as: other) == .none)
  }

  @Test("the last leaver and the deleter find it due at once, and one of them claims")
  func oneClaim() {
    // The deleter has condemned it and not claimed yet when the thread that was inside leaves, and the other
    // way round: the leaver has left and not claimed yet.
    let inside = CustodyState(
      generation: generation, group: 1, running: other.mask, threads: other.mask)
    let custody = RealCustody<RiggedWord>(inside)
    #expect(custody.delete(generation) == .deferred)
    var deleter: [Deletion] = []
    custody.ownership.word.rig.beforeSwap = { _ in deleter.append(custody.delete(generation)) }
    #expect(custody.leave(as: other) == .close)
    custody.ownership.word.rig.beforeSwap = nil
    #expect(deleter == [.alreadyGone])

    let again = RealCustody<RiggedWord>(
      CustodyState(generation: generation, group: 1, threads: other.mask))
    var visitor: [String] = []
    again.ownership.word.rig.beforeSwap = { number in
      guard number == 0 else { return }
      visitor.append("\(again.enter(generation, as: other))")
    }
    #expect(again.delete(generation) == .deferred)
    again.ownership.word.rig.beforeSwap = nil
    #expect(visitor == ["entered"])
    #expect(again.leave(as: other) == .close)
    #expect(again.ownership.state.isSealed)
  }

  @Test("of two seals one fails")
  func twoSeals() {
    let custody = RealCustody<RiggedWord>(CustodyState(generation: generation))
    custody.ownership.word.rig.beforeSwap = { _ in #expect(custody.seal() == generation) }
    #expect(custody.seal() == nil)
    custody.ownership.word.rig.beforeSwap = nil
  }
}

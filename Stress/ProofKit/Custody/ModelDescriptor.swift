import FDOwnership
import Interleave

/// One descriptor of a scenario, its custody, its data and its ledger.
final class ModelDescriptor<Subject: Custody> {
  private let setup: Setup
  private let scenario: CustodyScenario
  private let custody: Subject
  private let ledger: Monitor<DescriptorLedger>
  /// Written by whoever is alone with the slot, read in every handler.
  private let fields: Cell<Int>?
  /// What the handlers of a single owner leave to each other.
  private let state: Cell<Int>?
  /// What the thread that deletes wants the orphan deletion to know. If there are several, who of
  /// them has deleted it is not known, and so not checked.
  private let will: Cell<Int>?
  /// Whether the kernel has handed the number out: its table orders a close(2) before the accept(2)
  /// that returns the number again.
  private let number: ModelWord?
  /// What has nothing to do with the custody, and guards nothing here.
  private let lock: ModelMutex?
  private let firstGeneration: Generation

  init(_ setup: Setup, _ scenario: CustodyScenario, _ custody: Subject) {
    self.setup = setup
    self.scenario = scenario
    self.custody = custody
    ledger = Monitor(DescriptorLedger(isShared: scenario.isShared), named: "the ledger")
    fields = scenario.hasData ? Cell(0, named: "the slot's fields") : nil
    state = scenario.hasData ? Cell(0, named: "the handler's state") : nil
    will =
      scenario.hasData && scenario.roles.filter(\.ends).count == 1
      ? Cell(0, named: "the deleter's data") : nil
    number = scenario.roles.contains(.reuse) ? ModelWord(1, named: "the kernel's table") : nil
    lock = scenario.roles.contains(.lockDelete) ? ModelMutex(named: "the lock") : nil
    // There has been another incarnation before.
    let before = custody.seal() ?? Generation(rawValue: 0)
    custody.free()
    firstGeneration = Generation(rawValue: before.rawValue + 1)
    guard scenario.beginsLive else { return }
    _ = custody.seal()
    record { $0.insert(firstGeneration) }
    custody.publish(group: 1, threads: scenario.owners)
  }

  // MARK: What threads do

  func act(_ role: Role, _ thread: Int) {
    let me = scenario.bits[thread]
    switch role {
    case .event: event(firstGeneration, thread, me)
    case .lockEvent: event(firstGeneration, thread, me) { self.lock?.withLock {} }
    case .staleEvent: event(Generation(rawValue: firstGeneration.rawValue - 1), thread, me)
    case .deleteInside:
      event(firstGeneration, thread, me) {
        self.end(self.firstGeneration, false, thread, me, isInside: true)
      }
    case .takeover, .farTakeover:
      // From then on it has the events.
      if takeOver(thread, me) && scenario.hasRoomForMore { event(firstGeneration, thread, me) }
    case .nest:
      _ = takeOver(thread, me) { self.event(self.firstGeneration, thread, me, isNested: true) }
    case .alias: alias(me)
    case .delete: end(firstGeneration, false, thread, me)
    case .lockDelete: lock?.withLock { end(firstGeneration, false, thread, me) }
    case .disown: end(firstGeneration, true, thread, me)
    case .reuse: reuse(thread, me)
    case .insert: insert(thread, me)
    }
  }

  private func event(
    _ generation: Generation, _ thread: Int, _ me: ThreadBit, isNested: Bool = false,
    _ body: () -> Void = {}
  ) {
    let wasEnded = wasEnded(generation)
    setup.note("has an event")
    let admission = custody.enter(generation, as: me)
    forget(
      generation,
      allBut: admission.number << 2 + (wasEnded ? 1 : 0) + (isNested ? 2 : 0))
    switch admission {
    case .refused(let duty):
      setup.note("is not let in")
      setup.require(
        generation != firstGeneration || scenario.mayBeRefused(thread), "an owner is not let in")
      finish(duty, generation)
    case .covered: setup.require(isNested, "a thread that is not inside is told that it is")
    case .inside where isNested: finish(custody.leave(generation, as: me), generation)
    case .inside: handle(generation, thread, me, .event(wasEnded: wasEnded), body)
    }
  }

  /// - Returns: whether it was taken over, and left again.
  private func takeOver(_ thread: Int, _ me: ThreadBit, _ body: () -> Void = {}) -> Bool {
    let wasEnded = wasEnded(firstGeneration)
    setup.note("wants to take the descriptor over")
    let admission = custody.takeOver(firstGeneration, as: me)
    forget(firstGeneration, allBut: admission.number << 1 + (wasEnded ? 1 : 0))
    switch admission {
    case .refused(let duty):
      setup.note("has not taken it over")
      setup.require(!scenario.isAlone(thread), "nobody is inside, and a takeover is refused")
      finish(duty, firstGeneration)
      return false
    case .covered: preconditionFailure("a takeover is never covered")
    case .inside:
      handle(firstGeneration, thread, me, .takeover(wasEnded: wasEnded), body)
      return true
    }
  }

  /// The thread is inside.
  private func handle(
    _ generation: Generation, _ thread: Int, _ me: ThreadBit, _ way: DescriptorLedger.WayIn,
    _ body: () -> Void
  ) {
    setup.note("is inside, and runs the handler")
    record { $0.enter(thread, generation, way) }
    _ = fields?.value
    if !scenario.isShared { state?.value += 1 }
    body()
    forget(generation)
    ledger.update { $0.leave(thread, generation) }
    setup.note("has run the handler, and leaves")
    let duty = custody.leave(generation, as: me)
    forget(generation, allBut: duty.number)
    finish(duty, generation)
  }

  private func end(
    _ generation: Generation, _ disowning: Bool, _ thread: Int, _ me: ThreadBit,
    isInside: Bool = false
  ) {
    setup.note(disowning ? "disowns the descriptor" : "deletes the descriptor")
    will?.value = thread
    let deletion = custody.end(generation, disowning: disowning, isInside: isInside, as: me)
    forget(generation, allBut: deletion.number)
    switch deletion {
    case .alreadyGone: break
    case .deferred: record { $0.end(generation, disowning: disowning) }
    case .claimed(let duty):
      record { $0.end(generation, disowning: disowning) }
      finish(duty, generation)
    }
  }

  private func alias(_ me: ThreadBit) {
    let alias = Generation(rawValue: firstGeneration.rawValue + 1 << 24)
    setup.require(
      custody.enter(alias, as: me) != .inside && custody.takeOver(alias, as: me) != .inside
        && custody.end(alias, disowning: false, isInside: false, as: me) == .alreadyGone,
      "another incarnation with the same low bits is taken for this one")
  }

  /// The orphan deletion, if it has fallen to this thread.
  private func finish(_ duty: Duty, _ generation: Generation) {
    guard duty != .none else { return }
    setup.note("runs the orphan deletion")
    record { $0.release(generation) }
    _ = will?.value
    fields?.value = 0
    state?.value = 0
    custody.free()
    ledger.update { $0.depart(generation, as: duty) }
    number?.storeReleasing(0)
  }

  private func reuse(_ thread: Int, _ me: ThreadBit) {
    guard number?.compareExchangeAcquiring(expected: 0, desired: 1).exchanged == true else {
      return
    }
    guard let generation = custody.seal() else {
      return setup.require(false, "the number is free and its slot is not")
    }
    publish(generation, scenario.isShared ? scenario.owners.union(me.mask) : scenario.owners)
    if scenario.isShared { event(generation, thread, me) }
  }

  private func insert(_ thread: Int, _ me: ThreadBit) {
    guard let generation = custody.seal() else { return }
    publish(generation, scenario.owners.union(me.mask))
    end(generation, false, thread, me)
  }

  private func publish(_ generation: Generation, _ threads: ThreadMask) {
    record { $0.insert(generation) }
    fields?.value = 1
    state?.value = 0
    custody.publish(group: 1, threads: threads)
  }

  // MARK: The ledger

  private func record(_ entry: (inout DescriptorLedger) -> String?) {
    let complaint: String? = ledger.update(entry)
    if let complaint { setup.require(false, complaint) }
  }

  /// Whether the descriptor's end was certain before this moment.
  private func wasEnded(_ generation: Generation) -> Bool {
    Subject.isImmediate && scenario.roles.contains(where: \.ends)
      && ledger.update { $0.isEnded(generation) }
  }

  /// The thread's own constants aside, it goes on by this incarnation and these results alone.
  private func forget(_ generation: Generation, allBut results: UInt64 = 0, line: UInt = #line) {
    setup.forget(allBut: generation.rawValue << 8 | results, line: line)
  }

  func check() {
    let complaint = ledger.current.complaint(isLive: custody.isLive)
    setup.require(complaint == nil, complaint ?? "")
  }
}

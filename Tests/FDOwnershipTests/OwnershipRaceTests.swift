import Synchronization
import TestKit
import Testing

@testable import FDOwnership

/// What one thread of a race does to every descriptor.
private enum Role: Sendable {
  /// Has an event for the incarnation that the race began with.
  case loop(ThreadBit)
  case thief(ThreadBit)
  /// Takes over, and gets an event of its own for what it holds.
  case nester(ThreadBit)
  case deleter
  case disowner
  /// Gets the number from the kernel when it is free again.
  case reuser(ThreadBit)
  /// Inserts what another thread inserts too.
  case inserter(ThreadBit)

  var bit: ThreadBit {
    switch self {
    case .loop(let bit), .thief(let bit), .nester(let bit), .reuser(let bit), .inserter(let bit):
      bit
    case .deleter, .disowner: ThreadBit(group: 1, index: 15)
    }
  }

  /// Nobody else inserts.
  var isDeletion: Bool {
    switch self {
    case .deleter, .disowner: true
    default: false
    }
  }
}

private func bit(_ index: Int) -> ThreadBit { ThreadBit(group: 1, index: index) }

private let a = bit(0)
private let b = bit(1)
private let c = bit(2)
private let reuserBit = bit(3)

/// One race between threads, run on many descriptors.
private struct Mix: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let roles: [Role]
  /// The owners that the descriptor begins with; none if it begins outside.
  var threads: ThreadMask
  /// Whether the number is published again with its old owner among the new ones.
  var isReused = false
  /// What has to be met at least once, or the race has shown nothing.
  let mustMeet: [Meeting]

  init(
    _ name: String, _ roles: [Role], threads: ThreadMask = a.mask, isReused: Bool = false,
    meeting mustMeet: [Meeting]
  ) {
    testDescription = name
    self.roles = roles
    self.threads = threads
    self.isReused = isReused
    self.mustMeet = mustMeet
  }

  var isShared: Bool { threads.indices.count > 1 }
  var hasOneDeleter: Bool { roles.filter(\.isDeletion).count <= 1 }
  var deletes: Bool { roles.contains(where: \.isDeletion) }

  static let all: [Mix] = [
    Mix("event, delete", [.loop(a), .deleter], meeting: [.entered, .deferred, .claimedByDeleter]),
    Mix("event, two deletes", [.loop(a), .deleter, .deleter], meeting: [.entered, .alreadyGone]),
    Mix("two deletes", [.deleter, .deleter], meeting: [.claimedByDeleter, .alreadyGone]),
    Mix("event, takeover", [.loop(a), .thief(b)], meeting: [.entered, .taken]),
    Mix("event, takeover, delete", [.loop(a), .thief(b), .deleter], meeting: [.entered, .taken]),
    Mix(
      "event, two thieves, delete", [.loop(a), .thief(b), .thief(c), .deleter],
      meeting: [.entered, .taken]),
    Mix(
      "event, thief of another group with the same bit, delete",
      [.loop(a), .thief(ThreadBit(group: 2, index: 0)), .deleter], meeting: [.taken, .lost]),
    Mix(
      "nested event inside a takeover, delete", [.nester(b), .deleter],
      meeting: [.nestedInside, .nestedLost]),
    Mix(
      "shared: two loops, delete", [.loop(a), .loop(b), .deleter], threads: [a.mask, b.mask],
      meeting: [.entered, .deferred, .claimedByLeaver]),
    Mix(
      "shared: three loops, two deletes", [.loop(a), .loop(b), .loop(c), .deleter, .deleter],
      threads: [a.mask, b.mask, c.mask], meeting: [.entered, .deferred, .alreadyGone]),
    Mix("disown, event, thief", [.disowner, .loop(a), .thief(b)], meeting: [.entered, .taken]),
    Mix("disown, delete, event", [.disowner, .deleter, .loop(a)], meeting: [.alreadyGone]),
    Mix(
      "same descriptor inserted twice", [.inserter(a), .inserter(b)], threads: [],
      meeting: [.inserted, .occupied]),
    Mix(
      "number reused: stale event", [.loop(a), .deleter, .reuser(reuserBit)], isReused: true,
      meeting: [.entered, .stale]),
    Mix(
      "number reused: stale event, thief, two deletes",
      [.loop(a), .thief(b), .deleter, .deleter, .reuser(reuserBit)], isReused: true,
      meeting: [.entered, .stale]),
  ]
}

/// A race: its threads go through the same descriptors side by side, all of them again and again.
private final class Race: Sendable {
  static let lanesPerRound = 100
  static let rounds = 30

  let mix: Mix
  let seed: UInt64
  let complaints = Complaints()
  private let lanes: [RaceLane]
  private let total = Guarded(Meetings())

  init(_ mix: Mix, seed: UInt64) {
    self.mix = mix
    self.seed = seed
    lanes = (0..<Self.lanesPerRound).map { _ in RaceLane(hasOneDeleter: mix.hasOneDeleter) }
  }

  func run() async -> Meetings {
    let barrier = Barrier(mix.roles.count)
    await Crew.run(mix.roles.count) { [self] number in
      var racer = Racer(number: number, bit: mix.roles[number].bit, seed: seed)
      for round in 0..<Self.rounds {
        if barrier.wait() { prepare(&racer) }
        barrier.wait()
        // Each round uses up one generation of every number, or two.
        let generation = Generation(rawValue: UInt64(mix.isReused ? 2 * round : round))
        for lane in lanes { act(mix.roles[number], on: lane, generation, &racer) }
        if barrier.wait() { audit(&racer) }
      }
      let own = racer.tally
      total.withLock { $0.add(own) }
    }
    return total.withLock { $0 }
  }

  private func prepare(_ racer: inout Racer) {
    guard !mix.threads.isEmpty else { return }
    for lane in lanes {
      if !lane.insert(group: 1, threads: mix.threads, isShared: mix.isShared, &racer) {
        complaints.add("a free slot refuses an insert")
      }
    }
  }

  private func act(
    _ role: Role, on lane: RaceLane, _ generation: Generation, _ racer: inout Racer
  ) {
    racer.dawdle()
    switch role {
    case .loop: lane.event(generation, &racer)
    case .thief: lane.takeOver(generation, &racer)
    case .nester: lane.takeOver(generation, nesting: true, &racer)
    case .deleter: lane.delete(generation, &racer)
    case .disowner: lane.disown(generation, &racer)
    case .inserter(let bit):
      _ = lane.insert(group: 1, threads: bit.mask, isShared: false, &racer)
    case .reuser(let bit):
      // Somebody deletes it, so the number becomes free.
      let end = ContinuousClock.now + .seconds(20)
      while !lane.insertIfFree(
        group: 1, threads: [bit.mask, a.mask], isShared: true, &racer)
      {
        racer.dawdle()
        guard complaints.isEmpty, ContinuousClock.now < end else {
          return complaints.add("a deleted number never became free")
        }
      }
    }
  }

  /// At rest every ledger balances; then whatever is left goes.
  private func audit(_ racer: inout Racer) {
    for lane in lanes {
      lane.audit(complaints)
      let state = lane.ownership.state
      if mix.deletes && !mix.isReused && !state.isFree {
        complaints.add("deleted, and still there: \(state)")
      }
      if !state.isFree { lane.delete(lane.ownership.generation, &racer) }
    }
  }
}

/// What went wrong in a race, in words.
final class Complaints: Sendable {
  private let texts = Guarded<[String]>([])

  func add(_ text: String) { texts.withLock { $0.append(text) } }

  var isEmpty: Bool { texts.withLock { $0.isEmpty } }

  /// The first few.
  var summary: String { texts.withLock { $0.prefix(3).joined(separator: "; ") } }
}

extension RaceLane {
  /// Checks the ledgers while no thread does anything.
  func audit(_ complaints: Complaints) {
    let state = ownership.state
    let live = state.isFree ? 0 : 1
    let departures = closes.load(ordering: .relaxed) + letGos.load(ordering: .relaxed)
    if publishes.load(ordering: .relaxed) != departures + live {
      complaints.add("published and departed differ: \(state)")
    }
    if !state.running.isEmpty || state.fate != .live { complaints.add("left behind: \(state)") }
    if firstViolation != .none { complaints.add("\(firstViolation)") }
  }
}

@Suite("Threads that race for a descriptor", .serialized)
struct OwnershipRaceTests {
  @Test(
    "make one claim for every publish, and nobody is inside with another, or afterwards",
    arguments: Mix.all)
  fileprivate func mixes(mix: Mix) async {
    var tally = Meetings()
    // A machine that runs one thread after the other shows no race, so another attempt may be needed.
    for _ in 0..<10 {
      let race = Race(mix, seed: .random(in: 0 ..< .max))
      tally.add(await race.run())
      let complaints = race.complaints.summary
      #expect(complaints.isEmpty, "seed \(race.seed)")
      if !complaints.isEmpty || mix.mustMeet.allSatisfy({ tally[$0] > 0 }) { break }
    }
    for meeting in mix.mustMeet { #expect(tally[meeting] > 0, "\(tally)") }
  }

  @Test("keep every ledger when each does everything at random and numbers are reused at once")
  func everything() async {
    let seed = UInt64.random(in: 0 ..< .max)
    // Three threads in each of two groups, with the same bits; few numbers, so that they meet.
    let bits = [1, 2].flatMap { group in (0..<3).map { ThreadBit(group: group, index: $0) } }
    let lanes = (0..<3).map { _ in RaceLane(hasOneDeleter: false) }
    let total = Guarded(Meetings())
    await Crew.run(bits.count) { number in
      var racer = Racer(number: number, bit: bits[number], seed: seed)
      for _ in 0..<10_000 {
        let lane = lanes.randomElement(using: &racer.random)!
        let latest = lane.ownership.generation.rawValue
        // Now and then the handle of an incarnation that is gone.
        let isOld = latest > 0 && racer.random.next() % 8 == 0
        lane.actAtRandom(Generation(rawValue: isOld ? latest - 1 : latest), &racer)
        racer.dawdle()
      }
      let own = racer.tally
      total.withLock { $0.add(own) }
    }
    let complaints = Complaints()
    for lane in lanes { lane.audit(complaints) }
    #expect(complaints.summary.isEmpty, "seed \(seed)")
    let tally = total.withLock { $0 }
    let mustMeet: [Meeting] = [
      .entered, .lost, .stale, .taken, .takeoverBusy, .takeoverStale, .inserted, .claimedByDeleter,
      .claimedByLeaver, .deferred, .alreadyGone,
    ]
    for meeting in mustMeet { #expect(tally[meeting] > 0, "\(tally)") }
  }
}

extension RaceLane {
  fileprivate func actAtRandom(_ generation: Generation, _ racer: inout Racer) {
    switch racer.random.next() % 16 {
    case 0..<6: event(generation, &racer)
    case 6: event(generation, deleting: true, &racer)
    case 7..<11: takeOver(generation, &racer)
    case 11: takeOver(generation, nesting: true, &racer)
    case 12: delete(generation, &racer)
    case 13: disown(generation, &racer)
    default:
      let isShared = racer.random.next() % 4 == 0
      let threads = isShared ? ThreadMask(rawValue: 0b111) : racer.bit.mask
      _ = insertIfFree(group: racer.bit.group, threads: threads, isShared: isShared, &racer)
    }
  }
}

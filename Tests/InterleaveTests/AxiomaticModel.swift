import Interleave

/// C++20's rules for atomic operations ([intro.races], [atomics.order]), straight from their text:
/// every way to say who reads from whom and in which order the stores to a word come is tried, and
/// those that break a rule are thrown away. Nothing is executed, so it has nothing in common with
/// the explorer. Left out, as the explorer leaves it out: a load that reads from a later store.
struct AxiomaticModel {
  private struct Event {
    var thread: Int
    var word: Int
    var ordering: Ordering
    var reads = false
    /// Stores it; a compare-and-swap only if it finds what it expects.
    var value: UInt64?
    var expected: UInt64?
    /// A plain access happens unless that event reads 0.
    var condition: Int?

    var isConsistent: Bool { ordering == .sequentiallyConsistent }
    var acquires: Bool {
      reads && [.acquiring, .acquiringAndReleasing, .sequentiallyConsistent].contains(ordering)
    }
    var releases: Bool {
      [.releasing, .acquiringAndReleasing, .sequentiallyConsistent].contains(ordering)
    }
  }

  /// Who is related to whom: row `a` has bit `b`.
  private typealias Relation = [UInt32]

  /// Stands for plain data, which has no modification order.
  private static let plain = -1

  private let words: Int
  private var events: [Event] = []
  private var before: Relation = []
  /// Pairs of the numbers of two events, of which one is a plain access and the other a plain
  /// write, of two threads.
  private var conflicts: [(Int, Int)] = []
  private var found: Program.Outcomes = []
  private var hasRace = false

  /// What executions of the program can leave behind, and whether one has a data race.
  static func outcomes(_ program: Program) -> (outcomes: Program.Outcomes, hasRace: Bool) {
    var model = AxiomaticModel(program)
    var sources = [Int](repeating: -1, count: model.events.count)
    model.chooseSources(from: 0, &sources)
    return (model.found, model.hasRace)
  }

  /// The first events are the initial values.
  private init(_ program: Program) {
    words = program.words
    for word in 0..<words {
      events.append(Event(thread: -1, word: word, ordering: .relaxed, value: 0))
    }
    for (thread, steps) in program.threads.enumerated() {
      for step in steps {
        switch step {
        case .load(let word, let ordering):
          events.append(Event(thread: thread, word: word, ordering: ordering, reads: true))
        case .store(let word, let value, let ordering):
          events.append(Event(thread: thread, word: word, ordering: ordering, value: value))
        case .exchange(let word, let value, let ordering):
          events.append(
            Event(thread: thread, word: word, ordering: ordering, reads: true, value: value))
        case .compareExchange(let word, let expected, let desired, let ordering):
          events.append(
            Event(
              thread: thread, word: word, ordering: ordering, reads: true, value: desired,
              expected: expected))
        case .readIf, .writeIf:
          var access = Event(thread: thread, word: Self.plain, ordering: .relaxed)
          if case .writeIf = step { access.value = 1 }
          access.condition = events.lastIndex { $0.thread == thread && $0.reads }
          events.append(access)
        default: fatalError("the rules are about operations on words and plain data")
        }
      }
    }
    before = Relation(repeating: 0, count: events.count)
    for a in events.indices {
      for b in events.indices where a < b {
        if events[a].thread == -1 ? events[b].thread != -1 : events[a].thread == events[b].thread {
          before[a] |= 1 << UInt32(b)
        } else if events[a].word == Self.plain && events[b].word == Self.plain
          && (events[a].value != nil || events[b].value != nil)
        {
          conflicts.append((a, b))
        }
      }
    }
  }

  // MARK: Who reads from whom

  private mutating func chooseSources(from index: Int, _ sources: inout [Int]) {
    guard index < events.count else { return resolve(sources) }
    guard events[index].reads else { return chooseSources(from: index + 1, &sources) }
    for source in events.indices
    where source != index && events[source].word == events[index].word
      && events[source].value != nil
    {
      sources[index] = source
      chooseSources(from: index + 1, &sources)
    }
  }

  /// Compare-and-swaps that fail are relaxed loads.
  private mutating func resolve(_ sources: [Int]) {
    var resolved = self
    for index in events.indices {
      if let expected = events[index].expected, events[sources[index]].value != expected {
        resolved.events[index].value = nil
        resolved.events[index].ordering = .relaxed
      }
    }
    for index in events.indices where events[index].reads {
      if resolved.events[sources[index]].value == nil { return }
    }
    var causes = before
    for index in events.indices where events[index].reads {
      causes[sources[index]] |= 1 << UInt32(index)
    }
    guard Self.isAcyclic(Self.closure(causes)) else { return }
    var orders: [[Int]] = Array(repeating: [], count: words)
    resolved.chooseOrder(of: 0, sources, resolved.happensBefore(sources), &orders)
    found.formUnion(resolved.found)
    hasRace = hasRace || resolved.hasRace
  }

  private func happensBefore(_ sources: [Int]) -> Relation {
    var relation = before
    for read in events.indices where events[read].acquires {
      // Down the release sequence: read-modify-writes continue it.
      var store = sources[read]
      while true {
        if events[store].releases { relation[store] |= 1 << UInt32(read) }
        guard events[store].reads else { break }
        store = sources[store]
      }
    }
    return Self.closure(relation)
  }

  // MARK: The modification orders

  private mutating func chooseOrder(
    of word: Int, _ sources: [Int], _ happens: Relation, _ orders: inout [[Int]]
  ) {
    guard word < words else { return check(sources, happens, orders) }
    let stores = events.indices.filter {
      events[$0].word == word && events[$0].value != nil && events[$0].thread != -1
    }
    permute(stores) { model, order in
      orders[word] = [word] + order
      guard model.isCoherent(word, orders[word], sources, happens) else { return }
      model.chooseOrder(of: word + 1, sources, happens, &orders)
    }
  }

  private mutating func permute(
    _ rest: [Int], _ chosen: [Int] = [], _ body: (inout Self, [Int]) -> Void
  ) {
    if rest.isEmpty { body(&self, chosen) }
    for next in rest { permute(rest.filter { $0 != next }, chosen + [next], body) }
  }

  /// Coherence (write-write, read-read, read-write, write-read), and nothing between a
  /// read-modify-write and what it reads.
  private func isCoherent(
    _ word: Int, _ order: [Int], _ sources: [Int], _ happens: Relation
  ) -> Bool {
    // What an event reads or, if it only stores, stores; and the other way round.
    func readPlace(_ event: Int) -> Int {
      order.firstIndex(of: events[event].reads ? sources[event] : event) ?? -1
    }
    func writePlace(_ event: Int) -> Int {
      order.firstIndex(of: events[event].value != nil ? event : sources[event]) ?? -1
    }
    let here = events.indices.filter { events[$0].word == word }
    for event in here where events[event].reads && events[event].value != nil {
      if writePlace(event) != readPlace(event) + 1 { return false }
    }
    for a in here {
      for b in here where happens[a] & 1 << UInt32(b) != 0 {
        if events[b].reads ? writePlace(a) > readPlace(b) : writePlace(a) >= writePlace(b) {
          return false
        }
      }
    }
    return true
  }

  // MARK: The order of sequentially consistent operations

  private mutating func check(_ sources: [Int], _ happens: Relation, _ orders: [[Int]]) {
    guard hasTotalOrder(sources, happens, orders) else { return }
    for (a, b) in conflicts
    where happens[a] & 1 << UInt32(b) == 0 && happens[b] & 1 << UInt32(a) == 0 {
      let bothHappen = [a, b].allSatisfy { access in
        events[access].condition.map { events[sources[$0]].value != 0 } ?? true
      }
      hasRace = hasRace || bothHappen
    }
    found.insert(
      events.indices.filter { events[$0].reads }.map { events[sources[$0]].value ?? .max }
        + orders.map { events[$0[$0.count - 1]].value ?? .max })
  }

  private func hasTotalOrder(
    _ sources: [Int], _ happens: Relation, _ orders: [[Int]]
  ) -> Bool {
    let consistent = events.indices.filter { events[$0].isConsistent }
    let coherence = coherenceOrder(sources, orders)
    var forced = Relation(repeating: 0, count: events.count)
    for a in consistent {
      for d in consistent where a != d {
        if coherence[a] & 1 << UInt32(d) != 0 || stronglyHappens(a, before: d, happens) {
          forced[a] |= 1 << UInt32(d)
        }
      }
    }
    return Self.isAcyclic(Self.closure(forced))
  }

  /// Sequenced before, or sequenced before something that happens before something that is
  /// sequenced before it. (That a sequentially consistent store is read by such a load is a
  /// coherence order too.)
  private func stronglyHappens(_ a: Int, before d: Int, _ happens: Relation) -> Bool {
    if before[a] & 1 << UInt32(d) != 0 { return true }
    return events.indices.contains { b in
      before[a] & 1 << UInt32(b) != 0
        && events.indices.contains { c in
          happens[b] & 1 << UInt32(c) != 0 && before[c] & 1 << UInt32(d) != 0
        }
    }
  }

  private func coherenceOrder(_ sources: [Int], _ orders: [[Int]]) -> Relation {
    var relation = Relation(repeating: 0, count: events.count)
    for order in orders {
      for (place, store) in order.enumerated() {
        for later in order[(place + 1)...] { relation[store] |= 1 << UInt32(later) }
        for read in events.indices where events[read].reads && sources[read] == store {
          relation[store] |= 1 << UInt32(read)
          for later in order[(place + 1)...] where later != read {
            relation[read] |= 1 << UInt32(later)
          }
        }
      }
    }
    return Self.closure(relation)
  }

  // MARK: Relations

  private static func closure(_ relation: Relation) -> Relation {
    var relation = relation
    for middle in relation.indices {
      for row in relation.indices where relation[row] & 1 << UInt32(middle) != 0 {
        relation[row] |= relation[middle]
      }
    }
    return relation
  }

  private static func isAcyclic(_ closure: Relation) -> Bool {
    !closure.indices.contains { closure[$0] & 1 << UInt32($0) != 0 }
  }
}

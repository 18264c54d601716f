/// What is due when, the nearest first. Each name is due once; it can be taken out before.
///
/// A binary heap that knows everybody's place: all operations are logarithmic, and nothing stale is
/// left behind by those that leave early.
package struct DeadlineHeap<Name: Hashable> {
  private var entries: [(due: Moment, name: Name)] = []
  private var places: [Name: Int] = [:]

  package init() {}

  package var nearest: Moment? { entries.first?.due }
  package var count: Int { entries.count }

  package mutating func insert(_ name: Name, due: Moment) {
    precondition(places[name] == nil, "what has a deadline does not get a second one")
    entries.append((due, name))
    places[name] = entries.count - 1
    rise(from: entries.count - 1)
  }

  /// Does nothing if the name has no deadline.
  package mutating func remove(_ name: Name) {
    guard let place = places.removeValue(forKey: name) else { return }
    let last = entries.removeLast()
    guard place < entries.count else { return }
    entries[place] = last
    places[last.name] = place
    rise(from: place)
    sink(from: place)
  }

  /// Takes out one that is due by now, the one due first.
  package mutating func popDue(_ now: Moment) -> Name? {
    guard let first = entries.first, first.due <= now else { return nil }
    remove(first.name)
    return first.name
  }

  private mutating func rise(from start: Int) {
    var place = start
    while place > 0, entries[place].due < entries[(place - 1) / 2].due {
      swap(place, (place - 1) / 2)
      place = (place - 1) / 2
    }
  }

  private mutating func sink(from start: Int) {
    var place = start
    while true {
      let children = (2 * place + 1)..<min(2 * place + 3, max(entries.count, 2 * place + 1))
      guard let nearer = children.min(by: { entries[$0].due < entries[$1].due }),
        entries[nearer].due < entries[place].due
      else { return }
      swap(place, nearer)
      place = nearer
    }
  }

  private mutating func swap(_ one: Int, _ other: Int) {
    entries.swapAt(one, other)
    places[entries[one].name] = one
    places[entries[other].name] = other
  }
}

/// Names one wait, for who wants to end it early.
package struct Ticket: Hashable, Comparable, Sendable {
  package let number: UInt64

  package init(number: UInt64) { self.number = number }

  package static func < (one: Ticket, other: Ticket) -> Bool { one.number < other.number }
}

/// Who waits for which key, and until when. Whoever is taken out is out everywhere: a wait ends
/// once, and leaves nothing behind.
package struct WaitingRoom<Key: Hashable, Waiter> {
  private struct Guest {
    let waiter: Waiter
    let key: Key
  }

  private var guests: [Ticket: Guest] = [:]
  private var tickets: [Key: Set<Ticket>] = [:]
  private var deadlines = DeadlineHeap<Ticket>()
  private var lastTicket: UInt64 = 0

  package init() {}

  package var nearestDeadline: Moment? { deadlines.nearest }
  package var isEmpty: Bool { guests.isEmpty }
  package var count: Int { guests.count }

  package func count(for key: Key) -> Int { tickets[key]?.count ?? 0 }

  package mutating func enter(_ waiter: Waiter, for key: Key, until due: Moment) -> Ticket {
    lastTicket += 1
    let ticket = Ticket(number: lastTicket)
    guests[ticket] = Guest(waiter: waiter, key: key)
    tickets[key, default: []].insert(ticket)
    deadlines.insert(ticket, due: due)
    return ticket
  }

  /// - Returns: nil if the wait is over already.
  package mutating func leave(_ ticket: Ticket) -> (waiter: Waiter, key: Key)? {
    guard let guest = guests.removeValue(forKey: ticket) else { return nil }
    tickets[guest.key]?.remove(ticket)
    if tickets[guest.key]?.isEmpty == true { tickets[guest.key] = nil }
    deadlines.remove(ticket)
    return (guest.waiter, guest.key)
  }

  /// Those who wait for the key, in the order in which they came.
  package mutating func leaveAll(for key: Key) -> [Waiter] {
    guard let mine = tickets[key] else { return [] }
    return mine.sorted().compactMap { leave($0)?.waiter }
  }

  /// One whose deadline has come.
  package mutating func leaveDue(_ now: Moment) -> (waiter: Waiter, key: Key)? {
    guard let ticket = deadlines.popDue(now) else { return nil }
    return leave(ticket)
  }

  /// All, in the order in which they came.
  package mutating func leaveAll() -> [Waiter] {
    guests.keys.sorted().compactMap { leave($0)?.waiter }
  }
}

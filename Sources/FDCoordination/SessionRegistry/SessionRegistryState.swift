// Who is connected under which id, and who waits for whom.
//
// | an id's entry     | reserve                   | activate    | give back | remove    |
// |-------------------|---------------------------|-------------|-----------|-----------|
// | none              | reserved                  | lost        | nothing   | nothing   |
// | reserved          | refused                   | active      | none      | nothing   |
// | active and open   | refused                   | spent       | nothing   | none      |
// | active and closed | reserved, the old one out | spent       | nothing   | none      |
//
// Activate, give back and remove name an incarnation. If the entry is another's they find it lost
// or do nothing, whatever the table says.

/// How a wait for a session ended.
package enum SessionOutcome<Session: Sendable>: Sendable {
  case found(Incarnation, Session)
  /// - Parameter isReserved: whether somebody is shaking hands under that id.
  case timedOut(isReserved: Bool)
  case cancelled
  case shutDown
}

/// The state of a registry: no lock, no clock, no call of anybody's code save the hash of an id.
///
/// Whether a session is closed only the session knows, so a method that has to know answers `look`
/// and is called again with what has been seen meanwhile.
package struct SessionRegistryState<ID: Hashable & Sendable, Session: Sendable, Waiter> {
  package enum Reserving {
    /// - Parameter replaced: the closed session whose place it takes, to be let go of with no lock
    ///   held.
    case reserved(Incarnation, replaced: Session?)
    case isReserved
    /// Is that one closed? Then call again and say so.
    case look(Incarnation, Session)
    case shutDown
  }

  package enum Activating {
    case activated([Waiter])
    /// That reservation has been used.
    case spent
    /// That reservation has been given back.
    case lost
    case shutDown
  }

  package enum Finding {
    case absent
    case look(Incarnation, Session)
    case shutDown
  }

  package enum Waiting {
    case waiting(Ticket, wakeAt: Moment)
    case look(Incarnation, Session)
    case shutDown
  }

  package typealias Resumption = (waiter: Waiter, outcome: SessionOutcome<Session>)

  private struct Entry {
    let incarnation: Incarnation
    /// Nil while it is reserved.
    var session: Session?
  }

  private var entries: [ID: Entry] = [:]
  private var room = WaitingRoom<ID, Waiter>()
  private var lastIncarnation = Incarnation.none
  private var isShutDown = false

  package init() {}

  package var counts: (sessions: Int, reservations: Int, waiters: Int) {
    let active = entries.values.count { $0.session != nil }
    return (active, entries.count - active, room.count)
  }

  /// - Parameter closed: an incarnation that the caller has seen to be closed.
  package mutating func reserve(_ id: ID, knowingClosed closed: Incarnation?) -> Reserving {
    guard !isShutDown else { return .shutDown }
    var replaced: Session?
    if let entry = entries[id] {
      guard let session = entry.session else { return .isReserved }
      guard entry.incarnation == closed else { return .look(entry.incarnation, session) }
      replaced = session
    }
    lastIncarnation = lastIncarnation.next
    entries[id] = Entry(incarnation: lastIncarnation, session: nil)
    return .reserved(lastIncarnation, replaced: replaced)
  }

  package mutating func activate(
    _ id: ID, _ incarnation: Incarnation, _ session: Session
  ) -> Activating {
    guard !isShutDown else { return .shutDown }
    guard let entry = entries[id], entry.incarnation == incarnation else { return .lost }
    guard entry.session == nil else { return .spent }
    entries[id] = Entry(incarnation: incarnation, session: session)
    return .activated(room.leaveAll(for: id))
  }

  /// Does nothing unless that incarnation is still reserved.
  package mutating func giveBack(_ id: ID, _ incarnation: Incarnation) {
    guard let entry = entries[id], entry.incarnation == incarnation, entry.session == nil else {
      return
    }
    entries[id] = nil
  }

  /// - Returns: the session, to be let go of with no lock held; nil if that incarnation is not there.
  package mutating func remove(_ id: ID, _ incarnation: Incarnation) -> Session? {
    guard let entry = entries[id], entry.incarnation == incarnation, entry.session != nil else {
      return nil
    }
    entries[id] = nil
    return entry.session
  }

  package func find(_ id: ID) -> Finding {
    guard !isShutDown else { return .shutDown }
    guard let entry = entries[id], let session = entry.session else { return .absent }
    return .look(entry.incarnation, session)
  }

  /// - Parameter closed: an incarnation that the caller has seen to be closed.
  package mutating func wait(
    for id: ID, knowingClosed closed: Incarnation?, until due: Moment, _ waiter: Waiter
  ) -> Waiting {
    guard !isShutDown else { return .shutDown }
    if let entry = entries[id], let session = entry.session, entry.incarnation != closed {
      return .look(entry.incarnation, session)
    }
    return .waiting(room.enter(waiter, for: id, until: due), wakeAt: due)
  }

  /// - Returns: nil if the wait is over already.
  package mutating func cancel(_ ticket: Ticket) -> Resumption? {
    room.leave(ticket).map { ($0.waiter, .cancelled) }
  }

  package mutating func expire(_ now: Moment) -> (resumptions: [Resumption], wakeAt: Moment?) {
    var resumptions: [Resumption] = []
    while let (waiter, id) = room.leaveDue(now) {
      let isReserved = entries[id].map { $0.session == nil } ?? false
      resumptions.append((waiter, .timedOut(isReserved: isReserved)))
    }
    return (resumptions, room.nearestDeadline)
  }

  /// - Returns: who waits, and who is to be told, each once, in the order in which they came.
  package mutating func shutDown() -> (waiters: [Waiter], sessions: [Session]) {
    isShutDown = true
    let sessions = entries.values.filter { $0.session != nil }
      .sorted { $0.incarnation < $1.incarnation }.compactMap(\.session)
    entries = [:]
    return (room.leaveAll(), sessions)
  }
}

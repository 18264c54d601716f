package import FDNet

/// A registry with a lock: calls the state under it, and does what follows after unlocking. Generic
/// over all that waits, so that the explorer runs this source. Callable from any thread.
package final class SessionRegistryCore<
  Lock: ListLock & ~Copyable, ID: Hashable & Sendable, Session: RegisteredSession, Guest: Waiter,
  Time: Timekeeper
>: @unchecked Sendable where Guest.Outcome == SessionOutcome<Session> {
  package typealias State = SessionRegistryState<ID, Session, Guest>

  package enum Reserving {
    case reserved(Incarnation)
    case isReserved
    case isActive
    case shutDown
  }

  package enum Activating {
    case activated, spent, lost, shutDown
  }

  package enum Finding {
    case found(Session)
    /// - Parameter closed: the incarnation of a closed session that is there.
    case absent(closed: Incarnation?)
    case shutDown
  }

  package enum Waiting {
    case found(Session)
    case waiting(Ticket)
    case shutDown
  }

  package let time: Time
  private let lock = Lock()
  private var state = State()

  package init(_ time: Time) { self.time = time }

  package var counts: (sessions: Int, reservations: Int, waiters: Int) {
    lock.withLock { state.counts }
  }

  package func reserve(_ id: ID) -> Reserving {
    var closed: Incarnation?
    while true {
      switch lock.withLock({ state.reserve(id, knowingClosed: closed) }) {
      case .reserved(let incarnation, _): return .reserved(incarnation)
      case .isReserved: return .isReserved
      case .shutDown: return .shutDown
      case .look(let incarnation, let session):
        guard session.isClosed else { return .isActive }
        closed = incarnation
      }
    }
  }

  package func activate(_ id: ID, _ incarnation: Incarnation, _ session: Session) -> Activating {
    switch lock.withLock({ state.activate(id, incarnation, session) }) {
    case .activated(let waiters):
      for waiter in waiters { waiter.resume(with: .found(incarnation, session)) }
      return .activated
    case .spent: return .spent
    case .lost: return .lost
    case .shutDown: return .shutDown
    }
  }

  package func giveBack(_ id: ID, _ incarnation: Incarnation) {
    lock.withLock { state.giveBack(id, incarnation) }
  }

  package func remove(_ id: ID, _ incarnation: Incarnation) -> Session? {
    lock.withLock { state.remove(id, incarnation) }
  }

  package func find(_ id: ID) -> Finding {
    switch lock.withLock({ state.find(id) }) {
    case .absent: .absent(closed: nil)
    case .shutDown: .shutDown
    case .look(let incarnation, let session):
      session.isClosed ? .absent(closed: incarnation) : .found(session)
    }
  }

  /// - Parameter closed: an incarnation that the caller has seen to be closed.
  package func wait(
    for id: ID, knowingClosed closed: Incarnation?, until due: Moment, _ waiter: Guest
  ) -> Waiting {
    var closed = closed
    while true {
      switch lock.withLock({ state.wait(for: id, knowingClosed: closed, until: due, waiter) }) {
      case .waiting(let ticket, let moment):
        time.wake(at: moment)
        return .waiting(ticket)
      case .shutDown: return .shutDown
      case .look(let incarnation, let session):
        guard session.isClosed else { return .found(session) }
        closed = incarnation
      }
    }
  }

  package func cancel(_ ticket: Ticket) {
    let resumption = lock.withLock { state.cancel(ticket) }
    resumption?.waiter.resume(with: .cancelled)
  }

  /// Ends the waits that are due.
  package func expire() {
    let now = time.now
    let (resumptions, moment) = lock.withLock { state.expire(now) }
    for (waiter, outcome) in resumptions { waiter.resume(with: outcome) }
    if let moment { time.wake(at: moment) }
  }

  package func shutDown() {
    let (waiters, sessions) = lock.withLock { state.shutDown() }
    for waiter in waiters { waiter.resume(with: .shutDown) }
    for session in sessions { session.registryDidShutDown() }
  }
}

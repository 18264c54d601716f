package import FDPoller

/// Clients that connect to us, found by their ids.
///
/// A client is reserved a place under its id before the handshake, and activated after it; whoever
/// looks for the id may wait for that. A handshake that hangs holds its own id and nothing else: no
/// lock is held while anybody waits, and a new session wakes those that wait for its id only.
///
/// ```swift
/// let registry = SessionRegistry<String, Agent>()
/// // Where agents connect:
/// let registration = try await registry.withReservation("berlin") { reservation in
///   try reservation.activate(try await shakeHands(connection))
/// }
/// defer { registry.remove(registration) }
/// // Where clients ask for one:
/// let agent = try await registry.session(for: "berlin", deadline: .seconds(5))
/// ```
///
/// Callable from any thread and any executor; waits stay on the caller's.
public final class SessionRegistry<ID: Hashable & Sendable, Session: RegisteredSession>: Sendable {
  package typealias Guest = AsyncWaiter<SessionOutcome<Session>>
  package typealias Core = SessionRegistryCore<PlatformLock, ID, Session, Guest, AlarmClock>

  package let core: Core

  /// An empty registry.
  ///
  /// - Parameter clock: by which deadlines are kept.
  public init(clock: any Clock<Duration> = ContinuousClock()) {
    let time = AlarmClock(clock)
    let core = Core(time)
    time.onRing { [weak core] in core?.expire() }
    self.core = core
  }

  /// How many are in it at this moment.
  public var count: SessionRegistryCount {
    let counts = core.counts
    return SessionRegistryCount(
      sessions: counts.sessions, reservations: counts.reservations, waiters: counts.waiters)
  }

  // MARK: Coming and going

  /// Takes an id for a session that is being set up, without waiting. The reservation gives the id
  /// back when it goes out of scope, unless it has been activated.
  ///
  /// - Parameter id: of the session to be.
  /// - Throws: `reserved` or `active` if another holds the id, `shutDown` after `shutDown()`. A
  ///   session that is closed holds no id.
  public func reserve(_ id: ID) throws(SessionRegistryError) -> SessionReservation<ID, Session> {
    switch core.reserve(id) {
    case .reserved(let incarnation):
      return SessionReservation(Registration(id: id, incarnation: incarnation), core)
    case .isReserved: throw .reserved(id: String(describing: id))
    case .isActive: throw .active(id: String(describing: id))
    case .shutDown: throw .shutDown(id: String(describing: id), waited: .zero)
    }
  }

  /// Takes an id, lets the body set the session up and activate it, and gives the id back if it did
  /// not: however the body ends, no reservation is left.
  ///
  /// The id is held as long as the body runs, so give the handshake in it a deadline.
  ///
  /// - Parameters:
  ///   - id: of the session to be.
  ///   - body: calls `activate(_:)` when the session may be found.
  /// - Returns: what the body returns.
  /// - Throws: as `reserve(_:)`, and what the body throws.
  nonisolated(nonsending) public func withReservation<Result: ~Copyable>(
    _ id: ID,
    _ body:
      nonisolated(nonsending) (borrowing SessionReservation<ID, Session>) async throws ->
      Result
  ) async throws -> Result {
    let reservation = try reserve(id)
    return try await body(reservation)
  }

  /// Takes a session out, if it is still the one of that registration: the late clean-up of a
  /// session does not touch its successor.
  ///
  /// - Returns: whether it was there.
  @discardableResult
  public func remove(_ registration: Registration<ID>) -> Bool {
    core.remove(registration.id, registration.incarnation) != nil
  }

  // MARK: Looking

  /// The session under an id, at once.
  ///
  /// - Parameter id: of the session.
  /// - Returns: nil if there is none, or if it is closed or still shaking hands.
  /// - Throws: `shutDown` after `shutDown()`.
  public func session(for id: ID) throws(SessionRegistryError) -> Session? {
    switch core.find(id) {
    case .found(let session): return session
    case .absent: return nil
    case .shutDown: throw .shutDown(id: String(describing: id), waited: .zero)
    }
  }

  /// The session under an id. Waits for it if it is not there; one that is there is returned even
  /// to a task that is cancelled.
  ///
  /// - Parameters:
  ///   - id: of the session.
  ///   - deadline: how long it may take.
  /// - Throws: `timedOut`, `cancelled` or `shutDown`, each with the id and the time waited.
  nonisolated(nonsending) public func session(
    for id: ID, deadline: Duration
  ) async throws(SessionRegistryError) -> Session {
    var closed: Incarnation?
    switch core.find(id) {
    case .found(let session): return session
    case .absent(let incarnation): closed = incarnation
    case .shutDown: throw .shutDown(id: String(describing: id), waited: .zero)
    }
    let beginning = core.time.now
    var waited: Duration { core.time.now - beginning }
    while true {
      let waiter = Guest()
      let ticket: Ticket
      switch core.wait(for: id, knowingClosed: closed, until: beginning + deadline, waiter) {
      case .found(let session): return session
      case .waiting(let given): ticket = given
      case .shutDown: throw .shutDown(id: String(describing: id), waited: waited)
      }
      switch await waiter.outcome(onCancel: { [core] in core.cancel(ticket) }) {
      case .found(let incarnation, let session):
        // It may have ended meanwhile.
        guard session.isClosed else { return session }
        closed = incarnation
      case .timedOut(let isReserved):
        throw .timedOut(id: String(describing: id), waited: waited, isReserved: isReserved)
      case .cancelled: throw .cancelled(id: String(describing: id), waited: waited)
      case .shutDown: throw .shutDown(id: String(describing: id), waited: waited)
      }
    }
  }

  // MARK: The end

  /// Ends it: who waits fails, sessions are told, later calls fail. A second call does nothing.
  /// Reservations that are out cannot be activated any more.
  public func shutDown() { core.shutDown() }
}

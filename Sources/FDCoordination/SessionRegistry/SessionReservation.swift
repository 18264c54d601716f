import FDNet

/// An id that is held for a session in the making. Gives it back when it goes out of scope without
/// having been activated.
public struct SessionReservation<ID: Hashable & Sendable, Session: RegisteredSession>:
  ~Copyable, Sendable
{
  private let registration: Registration<ID>
  private let core: SessionRegistry<ID, Session>.Core

  init(_ registration: Registration<ID>, _ core: SessionRegistry<ID, Session>.Core) {
    self.registration = registration
    self.core = core
  }

  // After an activation the incarnation is no reservation any more, and this does nothing.
  deinit { core.giveBack(registration.id, registration.incarnation) }

  /// The id that is held.
  public var id: ID { registration.id }

  /// Publishes the session, which ends the reservation, and wakes those that wait for this id.
  ///
  /// - Parameter session: who answers to the id from now on.
  /// - Returns: what `SessionRegistry.remove(_:)` takes.
  /// - Throws: `shutDown` if the registry has been shut down, `spent` at the second call.
  @discardableResult
  public borrowing func activate(
    _ session: Session
  ) throws(SessionRegistryError) -> Registration<ID> {
    switch core.activate(registration.id, registration.incarnation, session) {
    case .activated: return registration
    // The reservation is alive, so only its own activation can have ended it.
    case .spent, .lost: throw .spent(id: String(describing: registration.id))
    case .shutDown: throw .shutDown(id: String(describing: registration.id), waited: .zero)
    }
  }

  /// Gives the id back now.
  public consuming func cancel() {}
}

/// How many are in a registry at one moment.
public struct SessionRegistryCount: Sendable, Equatable {
  /// Sessions, closed ones that nobody has removed included.
  public let sessions: Int
  /// Ids that are held for a session in the making.
  public let reservations: Int
  /// Tasks that wait for a session.
  public let waiters: Int

  package init(sessions: Int, reservations: Int, waiters: Int) {
    self.sessions = sessions
    self.reservations = reservations
    self.waiters = waiters
  }
}

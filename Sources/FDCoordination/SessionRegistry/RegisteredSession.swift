/// What a `SessionRegistry` keeps: a connection of a client, or whatever stands for it.
public protocol RegisteredSession: Sendable {
  /// Whether nobody can use it any more. A registry gives out no closed session, and a closed one
  /// does not keep a new one from its id. Asked on any thread, often; no lock is held.
  var isClosed: Bool { get }

  /// The registry has been shut down: nobody will be given this session any more. Called once, on
  /// the thread that shuts down, with no lock held; it returns soon.
  func registryDidShutDown()
}

/// One stay of a session in a registry. A later session under the same id has another.
public struct Registration<ID: Hashable & Sendable>: Hashable, Sendable {
  /// Of the session.
  public let id: ID
  package let incarnation: Incarnation
}

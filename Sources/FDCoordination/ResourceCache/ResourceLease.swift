/// The right to use a resource. The resource is not stopped before the lease has gone out of scope,
/// whether or not the cache still keeps it.
public struct ResourceLease<Key: Hashable & Sendable, Resource: Sendable>: ~Copyable, Sendable {
  /// Of the resource.
  public let key: Key
  /// What may be used as long as the lease lives.
  public let resource: Resource
  private let incarnation: Incarnation
  private let core: ResourceCache<Key, Resource>.Core

  init(
    _ key: Key, _ incarnation: Incarnation, _ resource: Resource,
    _ core: ResourceCache<Key, Resource>.Core
  ) {
    self.key = key
    self.resource = resource
    self.incarnation = incarnation
    self.core = core
  }

  deinit { core.release(key, incarnation) }

  /// Gives the lease back now.
  public consuming func end() {}
}

/// How many a cache has at one moment.
public struct ResourceCacheCount: Sendable, Equatable {
  /// Starts that have not returned.
  public let starting: Int
  /// Resources that are kept.
  public let kept: Int
  /// Resources that have been pushed out and are still leased.
  public let retired: Int
  /// Stops that have not returned.
  public let stopping: Int
  /// Leases that are out.
  public let leases: Int
  /// Tasks that wait, for a resource or for the end.
  public let waiters: Int

  package init(
    starting: Int, kept: Int, retired: Int, stopping: Int, leases: Int, waiters: Int
  ) {
    self.starting = starting
    self.kept = kept
    self.retired = retired
    self.stopping = stopping
    self.leases = leases
    self.waiters = waiters
  }
}

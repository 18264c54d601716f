/// When a connection may serve somebody else than the one it was made for.
public enum ReusePolicy: String, Sendable, CaseIterable {
  /// Never: every check-out makes a connection, every check-in closes it.
  case never
  /// If what is sent first may be sent again: the peer may close an idle connection at that very
  /// moment.
  case safe
  case always
}

/// How many idle connections a pool keeps, and for how long.
public struct PoolLimits: Sendable, Equatable {
  /// When a connection may be used again.
  public var reuse = ReusePolicy.safe
  /// Idle connections to one address. Each loop keeps an equal share of them, at least one unless
  /// this is 0.
  public var idlePerDestination = 128
  /// Idle connections in all.
  public var idleInAll = 4096
  /// An idle connection older than this is closed at the next purge.
  public var idleTime: Duration = .seconds(60)
  /// How often a loop looks at its idle connections. Of those that nobody needed since the last
  /// look, half go.
  public var purgeInterval: Duration = .seconds(5)
  /// Above this share of all descriptors, nothing more is kept idle.
  public var lowDescriptorRatio = 0.20
  /// Above this share of all descriptors, an idle connection is closed for each new one.
  public var highDescriptorRatio = 0.25
  /// Bytes that arrive on an idle connection end it, since they answer nothing. With true they wait
  /// for the next user instead: for protocols in which the server speaks first.
  public var keepsUnsolicitedBytes = false

  /// The limits as each says it is by default.
  public init() {}
}

/// What a pool has counted. Every connection that was kept is idle, or has been reused, purged or
/// found stale once: `kept = idle + reusedLocally + takenOver + purged + stale`.
public struct PoolStatistics: Sendable, Equatable {
  /// Check-outs that found a connection on their own loop.
  public var reusedLocally = 0
  /// Check-outs that took a connection over from another loop.
  public var takenOver = 0
  /// Candidates that were passed over because somebody was inside of them or they were closing,
  /// and lists that were locked.
  public var busy = 0
  /// Idle connections that ended without the pool: the peer closed them or sent what nobody had
  /// asked for, or somebody deleted them.
  public var stale = 0
  /// Connections that were made, or tried, because none was idle.
  public var opened = 0
  /// Connections that were checked in and kept.
  public var kept = 0
  /// Idle connections that were closed: too old, too many, or not needed.
  public var purged = 0
  /// Idle connections at the moment.
  public var idle = 0
}

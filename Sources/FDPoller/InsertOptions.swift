/// How a descriptor is to be treated.
public struct InsertOptions: OptionSet, Sendable, Hashable {
  /// One bit per option.
  public let rawValue: UInt8

  /// The options whose bits are set.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The kernel has this moment handed the number out (accept, socket, dup, ...). If the poller
  /// still thinks that it owns the number, somebody has closed it behind the poller's back: the
  /// dead incarnation is ended and the new descriptor is taken in under another number. Without
  /// this option that is an error.
  public static let fresh = InsertOptions(rawValue: 1 << 0)

  /// Other processes or copies (dup, fork, SCM_RIGHTS) hold the same open file. Its registration
  /// outlives its close, so every loop removes it before that.
  public static let sharedWithOthers = InsertOptions(rawValue: 1 << 1)

  /// One event wakes one of the loops that share the descriptor and not all of them
  /// (EPOLLEXCLUSIVE, epoll_ctl(2)). A loop that does not act on its event has to `poke` another
  /// one.
  public static let exclusive = InsertOptions(rawValue: 1 << 2)

  // Of what connections and listeners insert. Their bytes and clients go through `EventLoop`'s
  // operations only.

  /// A loop with an io_uring moves its bytes through the ring.
  package static let stream = InsertOptions(rawValue: 1 << 3)
  /// A stream that is received from only when a poll has told of something, because a receive in
  /// flight may not cross parking.
  package static let readsByPoll = InsertOptions(rawValue: 1 << 4)
  /// A stream of clients.
  package static let listens = InsertOptions(rawValue: 1 << 5)

  /// Set by `insert` itself: several loops have the descriptor on record.
  static let severalLoops = InsertOptions(rawValue: 1 << 7)
}

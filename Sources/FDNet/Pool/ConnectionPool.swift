import FDAtomics
import FDOwnership
public import FDPoller
import Synchronization

/// Idle connections that all loops of a poller share, by the address they lead to.
///
/// A check-out takes the newest idle connection of its own loop, otherwise one of another loop,
/// which it takes over; otherwise it makes one. A check-in offers the connection to all loops.
public final class ConnectionPool: Sendable {
  /// How many idle connections it keeps, and for how long.
  public let limits: PoolLimits
  private let poller: Poller
  private let settings: ConnectionSettings
  /// One per loop, at its index.
  private let shelves: [Shelf]
  private let idlePerShelf: Int
  let counts = Counts()
  private let isClosed = Atomic(false)
  /// Where the next thief begins.
  private let rotation = Atomic(0)

  typealias List = IdleList<PlatformLock, SocketAddress, Connection>

  /// What one loop has in the pool.
  private final class Shelf: Sendable {
    let list = List()
    /// Used by the loop only.
    let purgeIsScheduled = Atomic(false)
  }

  final class Counts: Sendable {
    let reusedLocally = Atomic(0)
    let takenOver = Atomic(0)
    let busy = Atomic(0)
    let stale = Atomic(0)
    let opened = Atomic(0)
    let kept = Atomic(0)
    let purged = Atomic(0)
    let idle = Atomic(0)
  }

  /// - Parameters:
  ///   - poller: on whose loops the connections run.
  ///   - limits: how many to keep.
  ///   - settings: of the connections that the pool makes.
  public init(
    on poller: Poller, limits: PoolLimits = PoolLimits(),
    settings: ConnectionSettings = ConnectionSettings()
  ) {
    self.poller = poller
    self.limits = limits
    self.settings = settings
    shelves = poller.loops.map { _ in Shelf() }
    idlePerShelf = min(
      limits.idlePerDestination, max(1, limits.idlePerDestination / poller.loops.count))
  }

  /// What has been counted so far. Callable from any thread.
  public var statistics: PoolStatistics {
    PoolStatistics(
      reusedLocally: counts.reusedLocally.load(ordering: .relaxed),
      takenOver: counts.takenOver.load(ordering: .relaxed),
      busy: counts.busy.load(ordering: .relaxed), stale: counts.stale.load(ordering: .relaxed),
      opened: counts.opened.load(ordering: .relaxed), kept: counts.kept.load(ordering: .relaxed),
      purged: counts.purged.load(ordering: .relaxed), idle: counts.idle.load(ordering: .relaxed))
  }
}

extension ConnectionPool {
  /// How many connections to the address are idle at the moment, on all loops. Callable from any
  /// thread.
  public func idleCount(to address: SocketAddress) -> Int {
    shelves.reduce(0) { $0 + $1.list.count(address) }
  }
}

extension ConnectionPool {
  /// The idle connections at this moment. Callable from any thread.
  package var idleHandles: Set<FDHandle> {
    var handles: Set<FDHandle> = []
    for shelf in shelves { shelf.list.visit { handles.insert($0.handle) } }
    return handles
  }
}

// MARK: - Check-out

extension ConnectionPool {
  /// A connection to the address: an idle one if there is one, otherwise a new one. On the loop.
  ///
  /// - Parameters:
  ///   - address: where it leads.
  ///   - loop: the calling loop.
  ///   - isRepeatable: whether what is sent first may be sent again, see `ReusePolicy.safe`.
  ///   - deadline: how long connect(2) may take.
  ///   - completion: called on the loop, once, not within this call; it sets the connection's
  ///     handler.
  public func checkOut(
    _ address: SocketAddress, on loop: EventLoop, isRepeatable: Bool = true, deadline: Duration?,
    _ completion: @escaping (Result<Connection, ConnectError>) -> Void
  ) {
    if mayReuse(isRepeatable), let connection = takeIdle(address, on: loop) {
      // Its events wait until the end of the tick, so nothing arrives before it has its handler.
      return loop.defer { completion(.success(connection)) }
    }
    open(address, on: loop, deadline: deadline, completion)
  }

  /// Makes a connection of the pool, whatever is idle. On the loop. See `checkOut` for the
  /// parameters.
  ///
  /// - Returns: the connection in the making, whose `abort()` cancels the attempt; nil if it failed
  ///   at once.
  @discardableResult
  public func open(
    _ address: SocketAddress, on loop: EventLoop, deadline: Duration?,
    _ completion: @escaping (Result<Connection, ConnectError>) -> Void
  ) -> Connection? {
    if isAbove(limits.highDescriptorRatio) { closeOneIdle(near: loop) }
    counts.opened.add(1, ordering: .relaxed)
    return Connector.connect(
      to: address, on: loop, deadline: deadline, settings: settings,
      options: [.stream, .readsByPoll]
    ) { result in
      if case .success(let connection) = result {
        connection.companion = PooledCompanion(connection, to: address, of: self)
      }
      completion(result)
    }
  }

  package func mayReuse(_ isRepeatable: Bool) -> Bool {
    switch limits.reuse {
    case .never: false
    case .safe: isRepeatable
    case .always: true
    }
  }

  /// An idle connection to the address, from here on the calling loop's own: open, reading, and
  /// without a handler, which the caller sets before it returns to the loop. Nil if none is idle.
  /// On the loop.
  public func takeIdle(_ address: SocketAddress, on loop: EventLoop) -> Connection? {
    findIdle(address, on: loop)?.connection
  }

  /// See `takeIdle`. Says, too, whether the connection was another loop's.
  package func findIdle(
    _ address: SocketAddress, on loop: EventLoop
  ) -> (connection: Connection, isTakenOver: Bool)? {
    precondition(loop.isCurrent, "a loop checks out for itself")
    guard counts.idle.load(ordering: .relaxed) > 0 else { return nil }
    while let connection = take(address, from: shelves[loop.index], for: loop, trying: false) {
      if begin(connection, on: loop, isStolen: false) { return (connection, false) }
    }
    let start = rotation.add(1, ordering: .relaxed).newValue
    // The own group's loops first: they are the likelier neighbours in the cache.
    for isNear in [true, false] {
      for turn in 0..<shelves.count {
        let index = (start &+ turn) % shelves.count
        guard index != loop.index,
          (poller.loops[index].bit.group == loop.bit.group) == isNear
        else { continue }
        while let connection = take(address, from: shelves[index], for: loop, trying: true) {
          if begin(connection, on: loop, isStolen: true) { return (connection, true) }
        }
      }
    }
    return nil
  }

  private func take(
    _ address: SocketAddress, from shelf: Shelf, for loop: EventLoop, trying: Bool
  ) -> Connection? {
    let result = shelf.list.take(address, trying: trying) { connection in
      DelayPoint.takeIdle.pass(connection.handle)
      let isTaken = loop.seize(connection.handle) == .taken
      if !isTaken { counts.busy.add(1, ordering: .relaxed) }
      if isTaken { DelayPoint.delist.pass(connection.handle) }
      return isTaken
    }
    switch result {
    case .taken(let entry):
      return entry.element
    case .none:
      return nil
    case .locked:
      counts.busy.add(1, ordering: .relaxed)
      return nil
    }
  }

  /// The connection has been seized and unlinked: it becomes the loop's.
  ///
  /// - Returns: false if it has turned out to be closed.
  private func begin(_ connection: Connection, on loop: EventLoop, isStolen: Bool) -> Bool {
    DelayPoint.afterDelist.pass(connection.handle)
    counts.idle.subtract(1, ordering: .relaxed)
    connection.loop = loop
    loop.settle(connection.handle, wanting: .read)
    // Somebody may have deleted it since: then leaving runs the orphan deletion, which tells the
    // connection.
    loop.leave(connection.handle)
    guard connection.phase == .parked else {
      counts.stale.add(1, ordering: .relaxed)
      return false
    }
    connection.wake()
    // The former loop may not have had the time to see that the peer is gone.
    guard !isStolen || isUsable(connection) else {
      counts.stale.add(1, ordering: .relaxed)
      connection.end(.finished)
      return false
    }
    if isStolen {
      counts.takenOver.add(1, ordering: .relaxed)
    } else {
      counts.reusedLocally.add(1, ordering: .relaxed)
    }
    return true
  }

  private func isUsable(_ connection: Connection) -> Bool {
    switch connection.loop.peek(connection.handle) {
    case .wouldBlock: true
    case .done(let count): count > 0 && limits.keepsUnsolicitedBytes
    case .failed: false
    }
  }
}

// MARK: - Check-in

extension ConnectionPool {
  /// Offers a connection of this pool to all loops, or closes it if it cannot serve anybody or
  /// enough are idle. The caller lets go of it: another loop may have it before this returns. On
  /// the connection's loop.
  ///
  /// - Returns: whether it was kept.
  @discardableResult
  public func checkIn(_ connection: Connection) -> Bool {
    let loop = connection.loop
    precondition(loop.isCurrent, "a connection is checked in on its loop")
    guard connection.phase != .closed else {
      connection.handler = nil
      return false
    }
    guard let companion = connection.companion as? PooledCompanion, companion.pool === self else {
      preconditionFailure("only a connection of the pool can be checked in")
    }
    precondition(connection.phase != .parked, "a connection is checked in once per check-out")
    let shelf = shelves[loop.index]
    guard connection.comesToRest(), mayKeep(companion.entry.key, on: shelf), beginIdle() else {
      connection.handler = nil
      connection.close()
      return false
    }
    schedulePurge(on: loop)
    companion.list = shelf.list
    connection.deadlines.cancel(on: loop)
    connection.handler = nil
    connection.phase = .parked
    let handle = connection.handle
    loop.park(handle)
    DelayPoint.link.pass(handle)
    // From here on it is anybody's.
    shelf.list.link(companion.entry, at: loop.tickTime)
    DelayPoint.afterLink.pass(handle)
    return true
  }

  private func mayKeep(_ address: SocketAddress, on shelf: Shelf) -> Bool {
    limits.reuse != .never && !isClosed.load(ordering: .relaxed)
      && !isAbove(limits.lowDescriptorRatio) && shelf.list.count(address) < idlePerShelf
  }

  /// Counts one more idle connection, unless there are enough.
  private func beginIdle() -> Bool {
    // Counted first, so that loops that ask at the same time do not all get the last place.
    guard counts.idle.add(1, ordering: .relaxed).newValue <= limits.idleInAll else {
      counts.idle.subtract(1, ordering: .relaxed)
      return false
    }
    counts.kept.add(1, ordering: .relaxed)
    return true
  }

  /// Whether more than this share of all descriptors is in use.
  private func isAbove(_ ratio: Double) -> Bool {
    Double(poller.core.liveDescriptors) > ratio * Double(poller.core.descriptorLimit)
  }
}

// MARK: - Purge

extension ConnectionPool {
  private func schedulePurge(on loop: EventLoop) {
    let shelf = shelves[loop.index]
    guard !shelf.purgeIsScheduled.load(ordering: .relaxed) else { return }
    shelf.purgeIsScheduled.store(true, ordering: .relaxed)
    loop.schedule(after: limits.purgeInterval) {
      shelf.purgeIsScheduled.store(false, ordering: .relaxed)
      self.purge(on: loop)
      if !shelf.list.isEmpty { self.schedulePurge(on: loop) }
    }
  }

  private func purge(on loop: EventLoop) {
    let now = loop.tickTime
    let idleTime = limits.idleTime.wholeNanoseconds
    closeUnlinked(
      shelves[loop.index].list.purge(idleSinceBefore: now > idleTime ? now - idleTime : 0))
  }

  private func closeOneIdle(near loop: EventLoop) {
    for turn in 0..<shelves.count {
      let shelf = shelves[(loop.index + turn) % shelves.count]
      if let entry = shelf.list.removeOne() { return closeUnlinked([entry]) }
    }
  }

  /// Closes connections that the caller has unlinked, so that nobody else can. Their home loops run
  /// their orphan deletion.
  private func closeUnlinked(_ entries: [List.Entry]) {
    for entry in entries {
      counts.idle.subtract(1, ordering: .relaxed)
      counts.purged.add(1, ordering: .relaxed)
      DelayPoint.purge.pass(entry.element.handle)
      poller.delete(entry.element.handle)
    }
  }

  /// Closes all idle connections and keeps none from now on. Callable from any thread.
  public func close() {
    isClosed.store(true, ordering: .relaxed)
    for loop in poller.loops {
      loop.run { self.closeUnlinked(self.shelves[loop.index].list.purge(idleSinceBefore: .max)) }
    }
  }
}

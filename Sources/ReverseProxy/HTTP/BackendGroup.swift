import DequeModule
package import FDPoller
package import Synchronization

/// Servers that answer the same requests, and the queue of those that wait for one of them.
///
/// Callable from any thread.
package final class BackendGroup: Sendable {
  package let configuration: BackendGroupConfiguration
  package let balancer: Balancer
  private let queue = Locked(Deque<QueueTicket>())
  /// How many wait. Written with the lock held, read without it.
  private let waiting = Atomic(0)
  /// Requests that were turned away because the queue was full or they waited too long.
  package let turnedAway = Atomic(0)

  package init(_ configuration: BackendGroupConfiguration, backends: [Backend]) {
    self.configuration = configuration
    balancer = Balancer(backends, configuration.balance)
    for backend in backends { backend.queues.add(self) }
  }

  /// Who waits for a place at a backend.
  package protocol Waiter: AnyObject, Sendable {
    /// A place at a backend is its own until it releases it. On the loop on which it waits, unless it
    /// has left the queue.
    func placeGranted(_ backend: Backend)
  }
}

/// A place in the queue of a group.
///
/// The place at a backend is granted on the way to the waiter's loop, while the waiter may leave: the
/// first of the two has it, and who has left may be anywhere.
package final class QueueTicket: Sendable {
  fileprivate let waiter: any BackendGroup.Waiter
  fileprivate let loop: EventLoop
  private let isTaken = Atomic(false)

  fileprivate init(_ waiter: any BackendGroup.Waiter, on loop: EventLoop) {
    self.waiter = waiter
    self.loop = loop
  }

  /// Returns whether nobody has done so before. Both who may run on the waiter's loop.
  fileprivate func take() -> Bool { !isTaken.exchange(true, ordering: .acquiringAndReleasing) }
}

extension BackendGroup {
  /// Whether its health checks ask the backend.
  func checks(_ backend: Backend) -> Bool {
    configuration.healthCheck != nil && balancer.backends.contains { $0 === backend }
  }
}

// MARK: - Places

extension BackendGroup {
  /// What the search for a backend came to.
  package enum Choice {
    /// A place there is the caller's until `release`.
    case backend(Backend, endpoint: Int)
    /// All that might answer have as many requests as they may.
    case full
    /// None is well.
    case none
  }

  /// Looks for a backend.
  ///
  /// - Parameters:
  ///   - candidates: of this request; those that are passed over count as tried.
  ///   - now: the time, in nanoseconds.
  package func choose(_ candidates: inout Candidates, at now: UInt64) -> Choice {
    var untried = candidates
    var isFull = false
    while let (backend, endpoint) = candidates.next() {
      guard backend.health.isWell, !backend.health.isEjected(at: now) else { continue }
      if take(backend) { return .backend(backend, endpoint: endpoint) }
      isFull = true
    }
    guard !isFull else { return .full }
    // Better one that has failed lately than none.
    while let (backend, endpoint) = untried.next() {
      guard backend.health.isWell else { continue }
      if take(backend) { return .backend(backend, endpoint: endpoint) }
      isFull = true
    }
    return isFull ? .full : .none
  }

  /// Takes a place at a backend, if there is one.
  private func take(_ backend: Backend) -> Bool {
    guard let limit = configuration.connectionsPerBackend else {
      backend.sessions.add(1, ordering: .relaxed)
      return true
    }
    var count = backend.sessions.load(ordering: .sequentiallyConsistent)
    while count < limit {
      let (exchanged, original) = backend.sessions.weakCompareExchange(
        expected: count, desired: count + 1, ordering: .sequentiallyConsistent)
      if exchanged { return true }
      count = original
    }
    return false
  }

  // A waiter enters the queue and then looks for a place; whoever leaves gives the place back and
  // then looks at the queues. Both are in one order for all threads, so one of the two sees the
  // other.

  /// Gives a place back; the first that waits gets it.
  package func release(_ backend: Backend) {
    backend.sessions.subtract(1, ordering: .sequentiallyConsistent)
    backend.queues.serve()
  }
}

// MARK: - The queue

extension BackendGroup {
  /// How many wait.
  package var queueLength: Int { waiting.load(ordering: .relaxed) }

  /// Waits for a place. On the waiter's loop.
  ///
  /// - Returns: what it leaves the queue with; nil if too many wait.
  package func enqueue(_ waiter: any Waiter, on loop: EventLoop) -> QueueTicket? {
    let ticket: QueueTicket? = queue.withLock { queue in
      guard queue.count < configuration.queueLength else { return nil }
      let ticket = QueueTicket(waiter, on: loop)
      queue.append(ticket)
      noteWaiting(1)
      return ticket
    }
    if ticket != nil { serveQueue() }
    return ticket
  }

  /// Leaves the queue: no place is granted any more. On the loop on which it waits.
  package func leave(_ ticket: QueueTicket) {
    // If a place is on its way, it is given back when it arrives.
    _ = ticket.take()
    queue.withLock { queue in
      guard let index = queue.firstIndex(where: { $0 === ticket }) else { return }
      queue.remove(at: index)
      noteWaiting(-1)
    }
  }

  /// Gives the free places to those who wait. Called when there may be one.
  package func serveQueue() {
    while let (ticket, backend) = admitFirst() {
      let isRunning = ticket.loop.run {
        if ticket.take() { ticket.waiter.placeGranted(backend) } else { self.release(backend) }
      }
      if !isRunning { backend.sessions.subtract(1, ordering: .sequentiallyConsistent) }
    }
  }

  /// The lock is held.
  private func noteWaiting(_ number: Int) {
    waiting.add(number, ordering: .relaxed)
    for backend in balancer.backends { backend.queues.noteWaiting(number) }
  }

  private func admitFirst() -> (QueueTicket, Backend)? {
    queue.withLock { queue in
      guard !queue.isEmpty, let backend = takeAny() else { return nil }
      noteWaiting(-1)
      return (queue.removeFirst(), backend)
    }
  }

  /// Takes a place at the least loaded backend that is well and has one.
  private func takeAny() -> Backend? {
    let now = EventLoop.clock()
    let well = balancer.backends.filter(\.health.isWell)
    let usable = well.filter { !$0.health.isEjected(at: now) }
    // Better one that has failed lately than none, as in `choose`.
    let byLoad = (usable.isEmpty ? well : usable).sorted {
      $0.sessions.load(ordering: .relaxed) < $1.sessions.load(ordering: .relaxed)
    }
    return byLoad.first(where: take)
  }
}

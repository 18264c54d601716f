import CShims
import FDAtomics
public import FDOwnership
import Synchronization
public import SystemPackage

// What a loop does with the descriptors that it owns. All on the loop's thread.

extension EventLoop {
  /// Takes a descriptor in for this loop; see `Poller.insert`. On the loop.
  public func insert(
    _ descriptor: FileDescriptor, handler: DescriptorHandler, wanting interest: Interest = .read,
    options: InsertOptions = []
  ) throws(PollerError) -> FDHandle {
    precondition(isCurrent, "from another thread, use Poller.insert")
    return try core.insert(
      descriptor.rawValue, handler, into: CollectionOfOne(self), wanting: interest, options)
  }

  /// See `Poller.delete`. Callable from any thread.
  @discardableResult
  public func delete(_ handle: FDHandle) -> Bool { core.delete(handle) }

  /// Wants to be told of more. The kernel learns of it at the end of the tick. On the loop.
  ///
  /// - Parameters:
  ///   - interest: in addition to what is wanted already.
  ///   - handle: a descriptor of this loop; of any other nothing happens.
  public func want(_ interest: Interest, _ handle: FDHandle) {
    change(handle, adding: interest, removing: [])
  }

  /// Wants to be told of less. An event that is on its way may still come. On the loop.
  public func stop(_ interest: Interest, _ handle: FDHandle) {
    change(handle, adding: [], removing: interest)
  }

  func change(_ handle: FDHandle, adding: Interest, removing: Interest) {
    precondition(isCurrent, "a loop's interest is changed on its thread; see Poller.want")
    guard owns(handle) else { return core.forward(handle, adding, removing, from: self) }
    let before = backend.interest(in: handle)
    let after = before.union(adding).subtracting(removing)
    guard after != before else { return }
    let options = options(of: handle)
    backend.setInterest(after, of: handle, options)
    if options.contains(.exclusive) && !after.contains(.read) {
      // The kernel may have chosen this loop for an event that it has not fetched yet.
      poke(handle)
    }
  }
}

extension EventLoop {
  /// Lets the other loops that share an exclusive descriptor go first from here on. Of those that
  /// sleep the kernel wakes the one that registered first, which would be the same one for every
  /// lone client. On the loop.
  package func letOthersGoFirst(_ handle: FDHandle) {
    if owns(handle) { backend.renew(handle) }
  }
}

// MARK: - Parking and taking over

extension EventLoop {
  /// Declares that this loop does nothing with the descriptor outside its handler from here on, so
  /// that any loop, this one included, may take it over. Nothing may be queued or in flight but its
  /// poll. On the loop that owns the descriptor, usually alone; of another loop's, and of one that
  /// is parked already, nothing happens.
  ///
  /// The handler is still told of events and may delete the descriptor, but not use it otherwise:
  /// to use it again, take it over.
  public func park(_ handle: FDHandle) {
    precondition(isCurrent, "a descriptor is parked by its owner")
    guard core.isCurrent(handle) else { return }
    // In this order: whoever takes it over changes the word before the ticket.
    let isParked = core.table[handle.fd].parking.isParked(handle.generation)
    guard !isParked, owns(handle) else { return }
    precondition(
      backend.uring?.isAtRest(handle) ?? true, "what is parked has nothing in flight but its poll")
    core.table[handle.fd].parking.park(handle.generation)
  }

  /// Makes a parked descriptor this loop's own. On the loop.
  ///
  /// The word alone cannot tell that an owner is busy outside its handler, so there is the
  /// `ParkingTicket`: one thread at a time gets it, and who fails on the word gives it back.
  ///
  /// - Parameters:
  ///   - handle: a parked descriptor of any loop of this poller, this loop's own included.
  ///   - interest: what this loop wants of it.
  ///   - body: runs inside, when the descriptor is this loop's; takes its handler.
  /// - Returns: `.busy` too if the descriptor is not parked.
  public func takeOver(
    _ handle: FDHandle, wanting interest: Interest, _ body: (DescriptorHandler) -> Void
  ) -> Takeover {
    precondition(isCurrent, "a loop takes over for itself")
    let result = seize(handle)
    if result == .taken {
      settle(handle, wanting: interest)
      core.table[handle.fd].handler.unsafelyUnwrapped._withUnsafeGuaranteedRef(body)
      leave(handle)
    }
    return result
  }

  /// The first part of a takeover, which makes no system call and may run under a lock. If it is
  /// taken, `settle` and `leave` have to follow.
  package func seize(_ handle: FDHandle) -> Takeover {
    let result = tryTakeover(handle)
    switch result {
    case .taken: counters.add(.takeoversWon)
    case .busy: counters.add(.takeoversBusy)
    case .stale, .closing: counters.add(.takeoversGone)
    }
    return result
  }

  private func tryTakeover(_ handle: FDHandle) -> Takeover {
    guard core.isCurrent(handle) else { return .stale }
    return core.table[handle.fd].parking.takeOver(
      core.table[handle.fd].ownership, handle.generation, as: bit, by: index)
  }

  /// The second part of a takeover. This loop is inside and the only owner: its kernel poller
  /// learns of the descriptor, and the old owner's forgets it when that loop reads its mail.
  package func settle(_ handle: FDHandle, wanting interest: Interest) {
    DelayPoint.settle.pass(handle)
    let home = core.table[handle.fd].home.exchange(UInt32(index), ordering: .relaxed)
    backend.setInterest(interest, of: handle, options(of: handle))
    if home != UInt32(index) {
      core.table[handle.fd].moved.store(handle.rawValue + 1, ordering: .relaxed)
      DelayPoint.afterSettle.pass(handle)
      _ = core.loops[Int(home)].post(.reconcile(handle))
    }
  }
}

// MARK: - Handing over

extension EventLoop {
  /// Gives a descriptor that this loop owns alone to another loop of the poller. On the loop,
  /// outside the descriptor's handler; neither loop may do anything with it until `body` runs
  /// there.
  ///
  /// - Parameters:
  ///   - interest: what the other loop will want of it.
  ///   - body: runs on the other loop, inside, with the descriptor its own; or here, with this
  ///     loop, if the other one has stopped.
  /// - Returns: `.taken` if the descriptor is on its way.
  package func handOver(
    _ handle: FDHandle, to other: EventLoop, wanting interest: Interest,
    _ body: @escaping @Sendable (EventLoop) -> Void
  ) -> Takeover {
    assert(isCurrent && other.core === core)
    // The word changes first: an event that this loop has already fetched finds itself lost.
    let result = core.table[handle.fd].ownership.takeOver(handle.generation, as: other.bit)
    guard result == .taken else { return result }
    counters.add(.takeoversWon)
    core.table[handle.fd].home.store(UInt32(other.index), ordering: .relaxed)
    core.table[handle.fd].moved.store(handle.rawValue + 1, ordering: .relaxed)
    let stream = backend.uring?.detach(handle)
    backend.remove(handle)
    let letter = Letter(
      Wish.call {
        // Whatever is on record there is from an earlier stay, of which that loop may not have
        // read yet that it has ended.
        other.attach(handle, stream, wanting: interest)
        body(other)
        other.leave(handle)
      })
    if !other.post(letter) {
      // The other loop has ended, so this one speaks for it; the poller is stopping and deletes
      // everything.
      body(self)
      let duty = core.table[handle.fd].ownership.leave(as: other.bit)
      if duty != .none { core.discharge(duty, of: handle) }
    }
    return .taken
  }
}

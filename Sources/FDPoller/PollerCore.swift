import CShims
import FDAtomics
import FDOwnership
import Logging
import Synchronization
import SystemPackage

/// What all loops of a poller share: the descriptor table, the loops themselves, and the poller's
/// life.
///
/// Callable from any thread, except where it says otherwise.
package final class PollerCore: @unchecked Sendable {
  package let configuration: PollerConfiguration
  let tickLimitNanoseconds: UInt64
  let table: DescriptorTable
  /// How many descriptors there can be.
  package var descriptorLimit: Int { table.count }
  /// One above the highest number that was ever inserted.
  private let numberBound = Atomic<Int32>(0)
  /// What threads that are no loops count.
  let outside = Counters()

  /// The number of live descriptors, and a bit each once the poller runs and once it stops: one
  /// word, so that an insert is either counted before the stop or sees it.
  private let life = Atomic<UInt64>(0)
  private static let running: UInt64 = 1 << 62
  private static let stopping: UInt64 = 1 << 63

  /// Not retained, since the loops hold this object; the `Poller` holds them.
  private let unownedLoops: UnsafeMutableBufferPointer<Unmanaged<EventLoop>>
  private let nextLoop = Atomic<Int>(0)

  init(_ configuration: PollerConfiguration) {
    self.configuration = configuration
    tickLimitNanoseconds = configuration.tickLimit.wholeNanoseconds
    table = DescriptorTable(limit: Int(clamping: fdp_descriptor_limit()))
    unownedLoops = .allocate(capacity: configuration.threads)
  }

  deinit {
    unownedLoops.deallocate()
  }

  /// Called once, before any thread starts.
  func adopt(_ loops: [EventLoop]) {
    for (index, loop) in loops.enumerated() {
      unownedLoops.initializeElement(at: index, to: .passUnretained(loop))
    }
  }
}

// MARK: - Loops

extension PollerCore {
  struct Loops: RandomAccessCollection {
    let base: UnsafeMutableBufferPointer<Unmanaged<EventLoop>>
    var startIndex: Int { 0 }
    var endIndex: Int { base.count }
    subscript(index: Int) -> EventLoop { base[index].takeUnretainedValue() }
  }

  var loops: Loops { Loops(base: unownedLoops) }

  func loop(group: Int, index: Int) -> EventLoop? {
    loops.first { $0.bit.group == group && $0.bit.index == index }
  }

  /// The next one in turn.
  func anyLoop() -> EventLoop {
    let turn = nextLoop.wrappingAdd(1, ordering: .relaxed).oldValue
    return loops[Int(UInt(bitPattern: turn) % UInt(loops.count))]
  }

  /// Counts for the calling thread: its own counters if it is a loop of this poller.
  @inline(__always)
  func count(_ counter: PollerCounter, for caller: EventLoop?) {
    if let caller, caller.core === self {
      caller.counters.add(counter)
    } else {
      outside.addShared(counter)
    }
  }
}

// MARK: - Life

extension PollerCore {
  var isStopping: Bool { life.load(ordering: .acquiring) & Self.stopping != 0 }
  /// Whether every loop has a thread, or none will get one any more.
  var isPastStart: Bool {
    life.load(ordering: .acquiring) & (Self.running | Self.stopping) != 0
  }
  package var liveDescriptors: Int {
    Int(life.load(ordering: .acquiring) & ~(Self.running | Self.stopping))
  }

  func beginRun() { life.bitwiseOr(Self.running, ordering: .acquiringAndReleasing) }
  func beginStop() { life.bitwiseOr(Self.stopping, ordering: .acquiringAndReleasing) }

  private func beginInsert() throws(PollerError) {
    if fdp_is_forked_child() { throw .forked }
    // What is refused is never counted: a poller that has stopped has no descriptor at any moment.
    var before = life.load(ordering: .relaxed)
    var isCounted = false
    while !isCounted {
      guard before & (Self.running | Self.stopping) == Self.running else { throw .notRunning }
      // The order is that of the stop: whoever is counted before it is waited for.
      (isCounted, before) = life.weakCompareExchange(
        expected: before, desired: before + 1, ordering: .acquiringAndReleasing)
    }
  }

  private func endDescriptor() { life.wrappingSubtract(1, ordering: .acquiringAndReleasing) }
}

// MARK: - Insert

extension PollerCore {
  /// Takes a descriptor in. See `Poller.insert`.
  func insert(
    _ fd: Int32, _ handler: DescriptorHandler, into loops: some Collection<EventLoop>,
    wanting interest: Interest, _ options: InsertOptions
  ) throws(PollerError) -> FDHandle {
    guard fd >= 0 else {
      throw .kernelRefused("take in fd \(fd)", .badFileDescriptor)
    }
    guard table.contains(fd) else {
      throw .numberTooLarge(fd: fd, limit: table.count)
    }
    guard let home = loops.first else {
      throw .invalidPlacement("a descriptor needs at least one loop")
    }
    var threads: ThreadMask = []
    for loop in loops {
      guard loop.core === self, loop.bit.group == home.bit.group else {
        throw .invalidPlacement("the loops of one descriptor are of one group of one poller")
      }
      threads.formUnion(loop.bit.mask)
    }
    try beginInsert()
    let caller = EventLoop.current
    let number: Int32
    let generation: Generation
    if let sealed = table[fd].ownership.seal() {
      (number, generation) = (fd, sealed)
    } else {
      do {
        (number, generation) = try sealAside(fd, options)
      } catch {
        endDescriptor()
        throw error
      }
    }
    let slot = table.pointer(to: number)
    slot.pointee.handler = .passRetained(handler)
    slot.pointee.options = loops.count > 1 ? options.union(.severalLoops) : options
    slot.pointee.home.store(UInt32(home.index), ordering: .relaxed)
    raiseNumberBound(above: number)
    slot.pointee.ownership.publish(group: home.bit.group, threads: threads)
    count(.descriptorsInserted, for: caller)

    let handle = FDHandle(fd: number, generation: generation)
    guard !interest.isEmpty else { return handle }
    for loop in loops {
      if loop === caller {
        if loop.owns(handle) { loop.backend.setInterest(interest, of: handle, options) }
      } else {
        _ = loop.post(.register(handle, interest))
      }
    }
    return handle
  }

  /// The slot is occupied. If the kernel has just handed the number out, its former descriptor was
  /// closed behind the poller's back: that incarnation is ended without a close, and the new
  /// descriptor moves to another number, since the slot is free only when the dead one's home loop
  /// has dealt with it.
  private func sealAside(
    _ fd: Int32, _ options: InsertOptions
  ) throws(PollerError) -> (Int32, Generation) {
    guard options.contains(.fresh) else { throw .occupied(fd: fd, describe(fd)) }
    endClosedElsewhere(FDHandle(fd: fd, generation: table[fd].ownership.generation))
    var lowest = fd + 1
    while true {
      let copy = fdp_duplicate(fd, lowest)
      guard copy >= 0 else {
        throw .kernelRefused("move fd \(fd) to a free number", Errno(rawValue: -copy))
      }
      guard table.contains(copy) else {
        _ = fdp_close(copy)
        throw .numberTooLarge(fd: copy, limit: table.count)
      }
      if let generation = table[copy].ownership.seal() {
        _ = fdp_close(fd)
        return (copy, generation)
      }
      _ = fdp_close(copy)
      lowest = copy + 1
    }
  }

  /// Ends an incarnation whose descriptor somebody has closed: its number must not be closed again.
  private func endClosedElsewhere(_ dead: FDHandle) {
    table[dead.fd].closedElsewhere.store(dead.rawValue + 1, ordering: .relaxed)
    guard disown(dead) else { return }
    configuration.logger.error(
      "a descriptor was closed behind the poller's back; let the poller close it, or disown it",
      metadata: ["descriptor": "\(dead)"])
  }

  /// The kernel refuses to watch a descriptor, so its handler would wait for ever: it leaves the
  /// poller.
  func giveUp(_ handle: FDHandle, _ errno: Errno) {
    if errno == .badFileDescriptor { return endClosedElsewhere(handle) }
    // EPERM: a regular file cannot be watched (epoll_ctl(2)); ENOSPC, ENOMEM: a limit of the
    // kernel.
    configuration.logger.error(
      "the kernel refuses to watch a descriptor, which is closed",
      metadata: ["descriptor": "\(handle)", "errno": "\(errno)"])
    _ = delete(handle)
  }

  var descriptorBound: Int32 { numberBound.load(ordering: .relaxed) }

  private func raiseNumberBound(above fd: Int32) {
    if numberBound.load(ordering: .relaxed) <= fd { numberBound.max(fd + 1, ordering: .relaxed) }
  }
}

// MARK: - Delete

extension PollerCore {
  /// Whether the handle's incarnation holds its slot.
  @inline(__always)
  package func isCurrent(_ handle: FDHandle) -> Bool {
    table.contains(handle.fd) && table[handle.fd].ownership.generation == handle.generation
  }

  package func delete(_ handle: FDHandle) -> Bool {
    guard table.contains(handle.fd) else { return false }
    return end(table[handle.fd].ownership.delete(handle.generation), handle)
  }

  func disown(_ handle: FDHandle) -> Bool {
    guard table.contains(handle.fd) else { return false }
    return end(table[handle.fd].ownership.disown(handle.generation), handle)
  }

  private func end(_ deletion: Deletion, _ handle: FDHandle) -> Bool {
    switch deletion {
    case .claimed(let duty):
      if duty == .close { count(.closesByDeleter, for: EventLoop.current) }
      discharge(duty, of: handle)
      return true
    case .deferred:
      return true
    case .alreadyGone:
      count(.deletesAlreadyGone, for: EventLoop.current)
      return false
    }
  }

  /// Called by the loop when the poller stops, again and again, since a descriptor may still move.
  func deleteAll(ownedBy loop: EventLoop) {
    for fd in 0..<numberBound.load(ordering: .relaxed) {
      let state = table[fd].ownership.state
      guard state.fate == .live, !state.isFree,
        table[fd].home.load(ordering: .relaxed) == UInt32(loop.index)
      else { continue }
      _ = delete(FDHandle(fd: fd, generation: table[fd].ownership.generation))
    }
  }
}

// MARK: - The orphan deletion

extension PollerCore {
  /// Brings the orphan deletion, which the calling thread has claimed, to the home loop: at once if
  /// this is its thread or if it has ended.
  ///
  /// It runs there because that loop may name the number anywhere in its tick: in a queued write, a
  /// timer, a proxy's other side. Only there can nothing of that kind be under way.
  @inline(never)
  func discharge(_ duty: Duty, of handle: FDHandle) {
    DelayPoint.discharge.pass(handle)
    let home = loops[Int(table[handle.fd].home.load(ordering: .relaxed))]
    if home.isCurrent || !home.post(.finish(handle, duty)) { finish(handle, duty, on: home) }
  }

  /// Runs the orphan deletion. The calling thread is alone with the slot, and is the home loop's or
  /// that has ended.
  func finish(_ handle: FDHandle, _ duty: Duty, on home: EventLoop) {
    let everywhere: InsertOptions = [.sharedWithOthers, .severalLoops]
    if duty == .letGo || !table[handle.fd].options.isDisjoint(with: everywhere) {
      // The open file may live on, or other loops have it on record: all forget it before it goes.
      RemovalRound(of: handle, in: self) { self.release(handle, duty, on: home) }.begin()
    } else {
      home.backend.forget(handle)
      release(handle, duty, on: home)
    }
  }

  private func release(_ handle: FDHandle, _ duty: Duty, on home: EventLoop) {
    let slot = table.pointer(to: handle.fd)
    let handler = slot.pointee.handler.unsafelyUnwrapped.takeRetainedValue()
    let closedElsewhere =
      slot.pointee.closedElsewhere.load(ordering: .relaxed) == handle.rawValue + 1
    // What others share is forgotten by every loop by now, and its peer may still be theirs.
    let mayBeHeldElsewhere =
      slot.pointee.moved.load(ordering: .relaxed) == handle.rawValue + 1
      && !slot.pointee.options.contains(.sharedWithOthers)
    if home.isCurrent { handler.retire() }
    slot.pointee.handler = nil
    slot.pointee.options = []
    slot.pointee.eventsWithoutProgress.store(0, ordering: .relaxed)
    slot.pointee.parking.clear()
    slot.pointee.ownership.free()
    // Last, because from here on the kernel may hand the number out again.
    if duty == .close && !closedElsewhere {
      DelayPoint.close.pass(handle)
      home.backend.close(handle.fd, mayBeHeldElsewhere: mayBeHeldElsewhere)
      DelayPoint.afterClose.pass(handle)
    }

    let departure: Departure =
      switch duty {
      case _ where closedElsewhere: .closedElsewhere
      case .letGo: .disowned(FileDescriptor(rawValue: handle.fd))
      case .close, .none: .closed
      }
    if duty == .letGo { count(closedElsewhere ? .rawCloses : .disowned, for: EventLoop.current) }
    if home.isCurrent {
      home.deferred.append(.departed(handler, handle, departure))
    } else {
      handler.departed(handle, departure)
    }
    endDescriptor()
  }

  /// Changes the interest of all loops that own the descriptor.
  func change(_ handle: FDHandle, adding: Interest, removing: Interest) {
    guard isCurrent(handle) else { return }
    let state = table[handle.fd].ownership.state
    let owners = state.threads.indices
    guard owners.count > 1 else {
      if let loop = EventLoop.current, loop.core === self {
        loop.change(handle, adding: adding, removing: removing)
      } else {
        forward(handle, adding, removing, from: nil)
      }
      return
    }
    for owner in owners {
      guard let loop = loop(group: state.group, index: owner) else { continue }
      if loop.isCurrent {
        loop.change(handle, adding: adding, removing: removing)
      } else {
        _ = loop.post(.change(handle, adding: adding, removing: removing))
      }
    }
  }

  /// Sends a change of interest to the loop that owns the descriptor now.
  func forward(
    _ handle: FDHandle, _ adding: Interest, _ removing: Interest, from loop: EventLoop?
  ) {
    guard isCurrent(handle) else { return }
    let home = loops[Int(table[handle.fd].home.load(ordering: .relaxed))]
    if home !== loop { _ = home.post(.change(handle, adding: adding, removing: removing)) }
  }
}

// MARK: - In words

extension PollerCore {
  func describe(_ fd: Int32) -> String {
    guard table.contains(fd) else { return "fd \(fd): beyond the table of \(table.count)" }
    return look(at: fd)?.description ?? "fd \(fd): \(table[fd].ownership.state)"
  }

  /// What a stop still waits for, in words: descriptors, and the loops that are stuck.
  ///
  /// - Parameter ticksBefore: the loops' ticks when the stop began; a loop that is not stuck has
  ///   made many since.
  func remaining(ticksBefore: [UInt64]) -> [String] {
    let descriptors = (0..<numberBound.load(ordering: .relaxed))
      .filter { !table[$0].ownership.state.isFree }
      .map(describe)
    let stuck = zip(loops, ticksBefore).filter { $0.ticks == $1 && !$0.hasEnded }
      .map { "\($0.0) is in the tick in which the stop found it" }
    return descriptors + stuck
  }
}

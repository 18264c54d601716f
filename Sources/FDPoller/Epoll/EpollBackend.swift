import CShims
import FDOwnership
import Glibc
import Logging
import SystemPackage

/// Level-triggered epoll(7): an event that is not dealt with is simply reported again.
///
/// Changes of interest are collected and told to the kernel once per tick, right before the wait. A
/// descriptor of which nothing is wanted is not registered at all, because epoll reports errors and
/// hang-ups of whatever is registered, again and again.
///
/// Used by its loop's thread only, save `init`.
final class EpollBackend: Backend {
  @exclusivity(unchecked) private(set) var epoll: Int32
  private let wakeUp: Int32
  private let registrations: LazyArray<Registration>
  /// Numbers whose registration differs from what the kernel has, each once.
  @exclusivity(unchecked) private var changed: [Int32] = []
  /// One above the highest number that was ever registered: how far a rebuild has to look.
  private var bound: Int32 = 0

  private let events: UnsafeMutableBufferPointer<epoll_event>
  @exclusivity(unchecked) private var suspect = Suspect()
  @exclusivity(unchecked) private var refusals: [(handle: FDHandle, errno: Errno)] = []
  private let logger: Logger
  /// How long a suspect must have been one, in nanoseconds. The number is free before the file is
  /// gone, so a thread that is interrupted in the middle of a close leaves a zombie for as long as
  /// it gets no processor.
  private let ageOfAZombie: UInt64
  /// How many waits there have been.
  @exclusivity(unchecked) private var waits: UInt64 = 0

  /// The event data of the loop's own eventfd; no handle has that generation and number.
  private static let wakeUpData = UInt64.max

  /// What this loop has told the kernel of one number. All zeros is nothing.
  private struct Registration {
    /// The handle's bits plus one, since those of number 0 are zeros in its first incarnation; 0 is
    /// nobody.
    var holder: UInt64 = 0
    var wanted: Interest = []
    var armed: Interest = []
    var options: InsertOptions = []
    var isRegistered = false
    var isListedAsChanged = false

    @inline(__always)
    func isHeld(by handle: FDHandle) -> Bool { holder == handle.rawValue &+ 1 }
  }

  /// An event that came for nobody and whose registration could not be removed.
  private struct Suspect {
    var handle: UInt64 = 0
    var sightings = 0
    /// In nanoseconds.
    var firstSighting: UInt64 = 0
    /// In waits.
    var lastSighting: UInt64 = 0
    /// After a close, one event of it may still have been on its way to each of the next waits.
    static let sightingsOfAZombie = 8
    /// A suspect that no wait has told of for so long was none. Until then others do not take its
    /// place, since several zombies take turns and none would ever be seen often enough.
    static let waitsOfPatience: UInt64 = 64
  }

  /// - Parameters:
  ///   - limit: descriptor numbers are below it.
  ///   - wakeUp: the eventfd that ends a wait.
  ///   - eventsPerWait: how many events one wait fetches at the most.
  ///   - ageOfAZombie: how long events of a closed descriptor go on before the epoll set is made
  ///     anew.
  init(
    limit: Int, wakeUp: Int32, eventsPerWait: Int = 256,
    ageOfAZombie: Duration = .milliseconds(100), logger: Logger
  ) throws(PollerError) {
    self.ageOfAZombie = ageOfAZombie.wholeNanoseconds
    epoll = try Self.makeEpoll(wakeUp: wakeUp)
    self.wakeUp = wakeUp
    self.logger = logger
    registrations = LazyArray(count: limit)
    events = .allocate(capacity: eventsPerWait)
  }

  deinit {
    shutDown()
    events.deallocate()
  }

  private static func makeEpoll(wakeUp: Int32) throws(PollerError) -> Int32 {
    let epoll = fdp_epoll_create()
    guard epoll >= 0 else {
      throw .kernelRefused("create an epoll set", Errno(rawValue: -epoll))
    }
    // Edge-triggered: every write to the eventfd ends one wait, and nobody has to read it.
    let edge = EPOLLIN.rawValue | EPOLLET.rawValue
    let result = fdp_epoll_control(epoll, EPOLL_CTL_ADD, wakeUp, edge, wakeUpData)
    guard result == 0 else {
      _ = fdp_close(epoll)
      throw .kernelRefused("watch a loop's eventfd", Errno(rawValue: -result))
    }
    return epoll
  }

  func shutDown() {
    if epoll >= 0 { _ = fdp_close(epoll) }
    epoll = -1
  }
}

// MARK: - Interest

extension EpollBackend {
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions) {
    let fd = handle.fd
    let registration = registrations.pointer(to: fd)
    if !registration.pointee.isHeld(by: handle) {
      // Whatever is on record is of an earlier incarnation, which the kernel forgot when it was
      // closed.
      let listed = registration.pointee.isListedAsChanged
      registration.pointee = Registration(
        holder: handle.rawValue &+ 1, options: options, isListedAsChanged: listed)
      bound = max(bound, fd + 1)
    }
    registration.pointee.wanted = interest
    if interest != registration.pointee.armed && !registration.pointee.isListedAsChanged {
      registration.pointee.isListedAsChanged = true
      changed.append(fd)
    }
  }

  func renew(_ handle: FDHandle) {
    let registration = registrations.pointer(to: handle.fd)
    guard registration.pointee.isHeld(by: handle), registration.pointee.isRegistered
    else { return }
    // At once, so that the record says what the kernel has, whatever is wanted by the end of the
    // tick.
    _ = fdp_epoll_control(epoll, EPOLL_CTL_DEL, handle.fd, 0, 0)
    registration.pointee.isRegistered = false
    registration.pointee.armed = []
    if !registration.pointee.isListedAsChanged {
      registration.pointee.isListedAsChanged = true
      changed.append(handle.fd)
    }
  }

  func interest(in handle: FDHandle) -> Interest {
    let registration = registrations.pointer(to: handle.fd)
    return registration.pointee.isHeld(by: handle) ? registration.pointee.wanted : []
  }

  func remove(_ handle: FDHandle) {
    let registration = registrations.pointer(to: handle.fd)
    guard registration.pointee.isHeld(by: handle) else { return }
    if registration.pointee.isRegistered {
      // ENOENT and EBADF say that the kernel has forgotten it already.
      _ = fdp_epoll_control(epoll, EPOLL_CTL_DEL, handle.fd, 0, 0)
    }
    drop(registration)
  }

  func forget(_ handle: FDHandle) {
    let registration = registrations.pointer(to: handle.fd)
    guard registration.pointee.isHeld(by: handle) else { return }
    drop(registration)
  }

  private func drop(_ registration: UnsafeMutablePointer<Registration>) {
    let listed = registration.pointee.isListedAsChanged
    registration.pointee = Registration(isListedAsChanged: listed)
  }

  /// Tells the kernel what has changed since the last wait.
  private func flush() {
    for fd in changed {
      let registration = registrations.pointer(to: fd)
      registration.pointee.isListedAsChanged = false
      if registration.pointee.wanted != registration.pointee.armed { tellKernel(fd, registration) }
    }
    changed.removeAll(keepingCapacity: true)
  }

  private func tellKernel(_ fd: Int32, _ registration: UnsafeMutablePointer<Registration>) {
    let isExclusive = registration.pointee.options.contains(.exclusive)
    let events = Self.events(for: registration.pointee.wanted, exclusive: isExclusive)
    let data = registration.pointee.holder &- 1
    var result: Int32 = 0
    if registration.pointee.isRegistered && (isExclusive || registration.pointee.wanted.isEmpty) {
      // An exclusive registration cannot be modified (epoll_ctl(2), EPOLLEXCLUSIVE).
      _ = fdp_epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0)
      registration.pointee.isRegistered = false
    }
    if !registration.pointee.wanted.isEmpty {
      result = register(fd, events, data, again: registration.pointee.isRegistered)
      registration.pointee.isRegistered = result == 0
    }
    registration.pointee.armed = registration.pointee.wanted
    if result < 0 {
      drop(registration)
      refusals.append((FDHandle(rawValue: data), Errno(rawValue: -result)))
    }
  }

  /// A new owner never trusts what it finds: ADD that says EEXIST is MOD, MOD that says ENOENT is
  /// ADD.
  private func register(_ fd: Int32, _ events: UInt32, _ data: UInt64, again: Bool) -> Int32 {
    let first = again ? EPOLL_CTL_MOD : EPOLL_CTL_ADD
    let result = fdp_epoll_control(epoll, first, fd, events, data)
    switch result {
    case -EEXIST where events & EPOLLEXCLUSIVE.rawValue != 0:
      _ = fdp_epoll_control(epoll, EPOLL_CTL_DEL, fd, 0, 0)
      return fdp_epoll_control(epoll, EPOLL_CTL_ADD, fd, events, data)
    case -EEXIST: return fdp_epoll_control(epoll, EPOLL_CTL_MOD, fd, events, data)
    case -ENOENT: return fdp_epoll_control(epoll, EPOLL_CTL_ADD, fd, events, data)
    default: return result
    }
  }

  private static func events(for interest: Interest, exclusive: Bool) -> UInt32 {
    var events: UInt32 = 0
    if interest.contains(.read) { events |= EPOLLIN.rawValue }
    if interest.contains(.write) { events |= EPOLLOUT.rawValue }
    if exclusive { events |= EPOLLEXCLUSIVE.rawValue }
    return events
  }
}

// MARK: - Waiting

extension EpollBackend {
  func wait(timeoutNanoseconds: UInt64?) -> Int {
    if !changed.isEmpty { flush() }
    waits &+= 1
    let milliseconds: Int32
    if !refusals.isEmpty {
      milliseconds = 0
    } else if let timeoutNanoseconds {
      // Rounded up: a timer is never early, and a wait of less than a millisecond is still a wait.
      milliseconds = Int32(clamping: (timeoutNanoseconds + 999_999) / 1_000_000)
    } else {
      milliseconds = -1
    }
    let mostEvents = Int32(truncatingIfNeeded: events.count)
    let count = fdp_epoll_wait(epoll, events.baseAddress, mostEvents, milliseconds)
    precondition(
      count >= 0 || count == -EINTR, "epoll_wait fails only on EINTR while its set is open")
    return max(0, Int(count))
  }

  @inline(__always)
  func event(at index: Int) -> (handle: FDHandle, readiness: Readiness) {
    let event = events[index]
    return (FDHandle(rawValue: event.data.u64), Readiness(rawValue: event.events))
  }

  func takeRefusals() -> [(handle: FDHandle, errno: Errno)] {
    guard !refusals.isEmpty else { return [] }
    defer { refusals = [] }
    return refusals
  }

  @inline(__always)
  static func isWakeUp(_ handle: FDHandle) -> Bool { handle.rawValue == wakeUpData }

  func removeCause(of handle: FDHandle) -> Bool {
    let registration = registrations.pointer(to: handle.fd)
    if registration.pointee.isHeld(by: handle) {
      drop(registration)
    } else if registration.pointee.isRegistered {
      // The number is registered for a later incarnation, so a DEL would hit that one.
      return suspectZombie(handle)
    }
    let isRemoved = fdp_epoll_control(epoll, EPOLL_CTL_DEL, handle.fd, 0, 0) == 0
    return isRemoved ? false : suspectZombie(handle)
  }

  /// An epoll registration belongs to the open file, not to the number: if another process or a dup
  /// keeps the file open after close(2), its events go on and nothing can remove them (epoll(7),
  /// questions 6 and 7). One such event may be left over from before a close; one that goes
  /// on returning is a zombie, and a new epoll set is the only way to be rid of it.
  ///
  /// - Returns: whether that has happened.
  private func suspectZombie(_ handle: FDHandle) -> Bool {
    if suspect.handle != handle.rawValue {
      let isOnTrail =
        suspect.sightings > 0 && waits - suspect.lastSighting < Suspect.waitsOfPatience
      if isOnTrail { return false }
      suspect = Suspect(
        handle: handle.rawValue, firstSighting: fdp_monotonic_nanoseconds())
    }
    suspect.sightings += 1
    suspect.lastSighting = waits
    let isZombie =
      suspect.sightings >= Suspect.sightingsOfAZombie
      && fdp_monotonic_nanoseconds() - suspect.firstSighting >= ageOfAZombie
    return isZombie && rebuild(because: handle)
  }

  private func rebuild(because handle: FDHandle) -> Bool {
    suspect = Suspect()
    let fresh: Int32
    do {
      fresh = try Self.makeEpoll(wakeUp: wakeUp)
    } catch {
      logger.error(
        "cannot replace an epoll set with a zombie in it", metadata: ["error": "\(error)"])
      return false
    }
    _ = fdp_close(epoll)
    epoll = fresh
    for fd in 0..<bound where registrations.pointer(to: fd).pointee.isRegistered {
      let registration = registrations.pointer(to: fd)
      registration.pointee.isRegistered = false
      registration.pointee.armed = []
      tellKernel(fd, registration)
    }
    logger.warning(
      "a closed descriptor is still registered, because a copy of it is open; epoll set rebuilt",
      metadata: ["closed": "\(handle)", "hint": "insert it with .sharedWithOthers"])
    return true
  }
}

// MARK: - Bytes

extension EpollBackend {
  /// Level-triggered: the kernel looks by itself.
  func noteWouldBlock(_ direction: Interest, of handle: FDHandle) {}

  func close(_ fd: Int32, mayBeHeldElsewhere: Bool) {
    // An epoll registration holds no file. Linux has closed the number whatever close(2) says, so
    // there is nothing to retry.
    _ = fdp_close(fd)
  }
}

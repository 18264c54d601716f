import CShims
import FDOwnership
import Glibc
import Logging
import SystemPackage

/// io_uring(7): a multishot poll for every descriptor of which something is wanted. Whatever changes
/// in a tick is collected, and told to the kernel in the one system call that waits.
///
/// A multishot poll is edge-triggered (seen on Linux 6.18; IORING_POLL_ADD_LEVEL is refused with
/// EINVAL when a poll is added): it reports what is ready when it is armed, and after that only what
/// becomes ready, each wake-up once. So every poll that told something is asked to look a second time
/// with the next submit, unless the handler has met "would block" meanwhile: the handler sees level
/// triggering. A short read is no such sign: urgent data, and descriptors sent along on a Unix
/// socket, end a read before the last byte.
///
/// A request in flight holds its file open, and its descriptor's number may be somebody else's by
/// the time that it completes. So every request that nobody wants to hear of any more is cancelled,
/// and a completion is matched with its request by record and generation, never by number.
///
/// Used by its loop's thread only, save `init`.
final class UringBackend: Backend {
  @exclusivity(unchecked) private var ring: Ring
  private var isEnabled = false
  private let wakeUp: Int32
  let registrations: LazyArray<Registration>
  @exclusivity(unchecked) private(set) var requests = RequestTable()

  // What waits for the next submit. Descriptor numbers are turned into submissions right before it:
  // one that was collected earlier could be closed and used again by then.

  /// Numbers whose registration differs from what the kernel has, each once.
  @exclusivity(unchecked) private var changed: [Int32] = []
  @exclusivity(unchecked) private var cancellations: [RequestID] = []
  @exclusivity(unchecked) private var secondLooks: [RequestID] = []
  private var needsWakeUpPoll = true

  private let completions: UnsafeMutableBufferPointer<fdp_completion>
  private let events: UnsafeMutableBufferPointer<Event>
  @exclusivity(unchecked) private var eventCount = 0
  @exclusivity(unchecked) private var refusals: [(handle: FDHandle, errno: Errno)] = []
  @exclusivity(unchecked) private var unheard: [FDHandle] = []
  @exclusivity(unchecked) private(set) var counts = Counts()
  private let logger: Logger

  /// What this loop has told the kernel of one number. All zeros is nothing.
  struct Registration {
    /// The handle's bits plus one, since those of number 0 are zeros in its first incarnation; 0 is
    /// nobody.
    var holder: UInt64 = 0
    /// The poll that is in flight, or none; its record is active.
    var poll = RequestID.none
    var wanted: Interest = []
    /// What that poll asks for.
    var armed: Interest = []
    /// The directions that have met "would block" since the poll told of them.
    var exhausted: Interest = []
    /// Its event of this wait, by its place plus one; 0 if there is none.
    var event: UInt32 = 0
    var options: InsertOptions = []
    var isListedAsChanged = false
    /// The kernel can watch it: it has been found out.
    var isKnownToBePollable = false

    @inline(__always)
    func isHeld(by handle: FDHandle) -> Bool { holder == handle.rawValue &+ 1 }
    @inline(__always)
    var handle: FDHandle { FDHandle(rawValue: holder &- 1) }
  }

  private struct Event {
    let handle: FDHandle
    var readiness: Readiness
    let poll: RequestID
  }

  /// What the ring counts.
  struct Counts: Equatable {
    var submissions: UInt64 = 0
    var completions: UInt64 = 0
    var overflows: UInt64 = 0
    var rearms: UInt64 = 0
    /// Times that there was no room for a submission.
    var fullQueues: UInt64 = 0
    /// Waits that a signal has ended.
    var interruptions: UInt64 = 0
    /// Cancellations of what was over already.
    var lateCancellations: UInt64 = 0
    /// Cancellations of what was being run at that moment; they are repeated.
    var busyCancellations: UInt64 = 0
    /// Requests that were in flight after the end of the ring: none.
    var abandoned: UInt64 = 0
  }

  /// - Parameters:
  ///   - limit: descriptor numbers are below it.
  ///   - wakeUp: the eventfd that ends a wait. It is never read: every write to it is a wake-up.
  ///   - mode: what `RingProbe` has found.
  init(
    limit: Int, wakeUp: Int32, mode: RingMode, setup: RingSetup = RingSetup(), logger: Logger
  ) throws(PollerError) {
    do {
      ring = try Ring(mode, submissions: setup.submissions, completions: setup.completions)
    } catch {
      throw .ioUringUnavailable(RingProbe.reason(for: error))
    }
    self.wakeUp = wakeUp
    self.logger = logger
    registrations = LazyArray(count: limit)
    completions = .allocate(capacity: setup.completionsPerWait)
    events = .allocate(capacity: setup.completionsPerWait)
  }

  deinit {
    completions.deallocate()
    events.deallocate()
  }
}

// MARK: - Interest

extension UringBackend {
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions) {
    let registration = registrations.pointer(to: handle.fd)
    if !registration.pointee.isHeld(by: handle) {
      // Closing an earlier incarnation has not ended its poll.
      drop(registration)
      registration.pointee.holder = handle.rawValue &+ 1
      registration.pointee.options = options
    }
    registration.pointee.wanted = interest
    if interest != registration.pointee.armed {
      listAsChanged(handle.fd, registration)
    } else if registration.pointee.poll != .none {
      // What this poll told last, the loop may have declined while the descriptor was another's.
      secondLooks.append(registration.pointee.poll)
    }
  }

  func renew(_ handle: FDHandle) {
    let registration = registrations.pointer(to: handle.fd)
    guard registration.pointee.isHeld(by: handle), registration.pointee.poll != .none
    else { return }
    cancelPoll(of: registration)
    listAsChanged(handle.fd, registration)
  }

  func interest(in handle: FDHandle) -> Interest {
    let registration = registrations.pointer(to: handle.fd)
    return registration.pointee.isHeld(by: handle) ? registration.pointee.wanted : []
  }

  func remove(_ handle: FDHandle) {
    let registration = registrations.pointer(to: handle.fd)
    if registration.pointee.isHeld(by: handle) { drop(registration) }
  }

  /// As `remove`: a close does not end a poll, which would keep the file open.
  func forget(_ handle: FDHandle) { remove(handle) }

  func removeCause(of handle: FDHandle) -> Bool {
    remove(handle)
    return false
  }

  private func drop(_ registration: UnsafeMutablePointer<Registration>) {
    cancelPoll(of: registration)
    let isListed = registration.pointee.isListedAsChanged
    registration.pointee = Registration(isListedAsChanged: isListed)
  }

  private func cancelPoll(of registration: UnsafeMutablePointer<Registration>) {
    let poll = registration.pointee.poll
    registration.pointee.poll = .none
    registration.pointee.armed = []
    if poll != .none && ring.isOpen && requests.markEnding(poll) { cancellations.append(poll) }
  }

  private func listAsChanged(_ fd: Int32, _ registration: UnsafeMutablePointer<Registration>) {
    guard !registration.pointee.isListedAsChanged else { return }
    registration.pointee.isListedAsChanged = true
    changed.append(fd)
  }
}

// MARK: - Telling the kernel

extension UringBackend {
  /// Collects everything that the kernel has to know before the next wait.
  ///
  /// - Returns: false if some of it has to wait for the next time, because the kernel takes nothing
  ///   more at the moment.
  private func collect() -> Bool {
    for event in events[..<eventCount] {
      registrations.pointer(to: event.handle.fd).pointee.event = 0
      if needsSecondLook(event) { secondLooks.append(event.poll) }
    }
    eventCount = 0
    if needsWakeUpPoll && !collectWakeUpPoll() { return false }
    // Polls are removed before their successors are made: what is told to one and heard by nobody,
    // the other finds when it is armed.
    return collectAll(&cancellations) { cancel($0) } && collectAll(&changed) { tellOfChange($0) }
      && collectAll(&secondLooks) { lookAgain($0) }
  }

  /// - Parameter submit: turns one element into a submission; false if there is no room for that.
  private func collectAll<Element>(
    _ list: inout [Element], _ submit: (Element) -> Bool
  ) -> Bool {
    guard !list.isEmpty else { return true }
    let firstLeft = list.firstIndex { element in
      guard !submit(element) else { return false }
      counts.fullQueues += 1
      return ring.submit() < 0 || !submit(element)
    }
    list.removeFirst(firstLeft ?? list.count)
    return firstLeft == nil
  }

  private func collectWakeUpPoll() -> Bool {
    let id = requests.begin(.wakeUp, for: FDHandle(rawValue: 0))
    guard ring.poll(wakeUp, EPOLLIN.rawValue, multishot: true, id) else {
      requests.end(id)
      return false
    }
    counts.submissions += 1
    needsWakeUpPoll = false
    return true
  }

  private func cancel(_ id: RequestID) -> Bool {
    guard requests[id]?.state == .ending else { return true }
    guard ring.removePoll(id) else { return false }
    counts.submissions += 1
    return true
  }

  private func lookAgain(_ id: RequestID) -> Bool {
    guard let request = requests[id], request.state == .active else { return true }
    let events =
      request.operation == .wakeUp
      ? EPOLLIN.rawValue : Self.events(for: registrations.pointer(to: request.handle.fd).pointee)
    guard ring.pollAgain(id, events) else { return false }
    counts.submissions += 1
    return true
  }

  private func tellOfChange(_ fd: Int32) -> Bool {
    let registration = registrations.pointer(to: fd)
    if registration.pointee.wanted != registration.pointee.armed {
      // Not updated: a poll that is being run keeps what it was armed with.
      if registration.pointee.poll != .none {
        guard ring.removePoll(registration.pointee.poll) else { return false }
        counts.submissions += 1
        _ = requests.markEnding(registration.pointee.poll)
        registration.pointee.poll = .none
        registration.pointee.armed = []
      }
      if !registration.pointee.wanted.isEmpty && !arm(fd, registration) { return false }
    }
    registration.pointee.isListedAsChanged = false
    return true
  }

  private func arm(_ fd: Int32, _ registration: UnsafeMutablePointer<Registration>) -> Bool {
    let isExclusive = registration.pointee.options.contains(.exclusive)
    let id = requests.begin(isExclusive ? .exclusivePoll : .poll, for: registration.pointee.handle)
    let events = Self.events(for: registration.pointee)
    guard ring.poll(fd, events, multishot: !isExclusive, id) else {
      requests.end(id)
      return false
    }
    counts.submissions += 1
    registration.pointee.poll = id
    registration.pointee.armed = registration.pointee.wanted
    return true
  }

  /// An exclusive poll is of one shot, which takes it out of the queue of those who wait: of the
  /// loops that share a descriptor each is woken in turn. Of multishot polls the kernel would wake
  /// the first one every time. Unlike epoll it does not know who sleeps: a client may have to wait
  /// for the rest of a tick.
  private static func events(for registration: Registration) -> UInt32 {
    var events: UInt32 = 0
    if registration.wanted.contains(.read) { events |= EPOLLIN.rawValue }
    if registration.wanted.contains(.write) { events |= EPOLLOUT.rawValue }
    if registration.options.contains(.exclusive) { events |= EPOLLEXCLUSIVE.rawValue }
    return events
  }

  @inline(__always)
  private func needsSecondLook(_ event: Event) -> Bool {
    let registration = registrations.pointer(to: event.handle.fd)
    guard registration.pointee.poll == event.poll else { return false }
    let wanted = registration.pointee.wanted.subtracting(registration.pointee.exhausted)
    return wanted.contains(.read) && event.readiness.mayRead
      || wanted.contains(.write) && event.readiness.mayWrite
  }
}

// MARK: - Waiting

extension UringBackend {
  func wait(timeoutNanoseconds: UInt64?) -> Int {
    if !isEnabled { enable() }
    let isAllCollected = collect()
    var limit = timeoutNanoseconds.map { Int64(clamping: $0) } ?? -1
    if !isAllCollected || !refusals.isEmpty { limit = 0 }
    let result = ring.wait(nanoseconds: limit)
    switch result {
    case -EINTR:
      counts.interruptions += 1
    case -ETIME, -EBUSY, -EAGAIN, 0...:
      // EBUSY, EAGAIN: what was collected stays so until there is room in the ring or memory.
      break
    case -EBADR:
      lookAtEverything()
    default:
      preconditionFailure("io_uring_enter(2) fails with errno \(-result)")
    }
    if ring.hasOverflow { counts.overflows += 1 }
    takeCompletions()
    return eventCount
  }

  private func enable() {
    do {
      try ring.enable()
    } catch {
      preconditionFailure("a ring that was made disabled can be enabled: \(error)")
    }
    isEnabled = true
  }

  @inline(__always)
  func event(at index: Int) -> (handle: FDHandle, readiness: Readiness) {
    let event = events[index]
    return (event.handle, event.readiness)
  }

  /// It is no event here.
  @inline(__always)
  static func isWakeUp(_ handle: FDHandle) -> Bool { false }

  func takeRefusals() -> [(handle: FDHandle, errno: Errno)] {
    guard !refusals.isEmpty else { return [] }
    defer { refusals = [] }
    return refusals
  }

  /// The exclusive descriptors of which this loop, and nobody else, was told after it had stopped
  /// listening, since the last call.
  func takeUnheard() -> [FDHandle] {
    guard !unheard.isEmpty else { return [] }
    defer { unheard = [] }
    return unheard
  }

  private func takeCompletions() {
    let count = ring.takeCompletions(completions)
    counts.completions += UInt64(count)
    for completion in completions[..<count] {
      let id = RequestID(userData: completion.user_data)
      let part = RequestID.part(ofUserData: completion.user_data)
      guard let request = requests[id] else {
        // It is over: the answer to its cancellation comes after its last completion.
        if part == .cancellation { counts.lateCancellations += 1 }
        continue
      }
      switch part {
      case .itself: complete(id, request, completion)
      case .cancellation: noteFailedCancellation(id, -completion.result)
      case .secondLook: noteFailedSecondLook(id, request, -completion.result)
      }
    }
  }

  private func complete(_ id: RequestID, _ request: Request, _ completion: fdp_completion) {
    if !completion.hasMore { requests.end(id) }
    guard request.state == .active else {
      if request.operation == .exclusivePoll && completion.result > 0 {
        unheard.append(request.handle)
      }
      return
    }
    switch request.operation {
    case .wakeUp:
      if !completion.hasMore { noteEndOfWakeUpPoll() }
    case .poll, .exclusivePoll:
      let registration = registrations.pointer(to: request.handle.fd)
      assert(registration.pointee.poll == id, "an active poll is its registration's")
      if !completion.hasMore && !mayPollAgain(registration, after: completion.result) { return }
      guard completion.result > 0 else { return }
      let readiness = Readiness(rawValue: UInt32(completion.result))
      tell(Event(handle: request.handle, readiness: readiness, poll: id), registration)
    }
  }

  /// What a descriptor has to tell twice in one wait is one event, as with epoll.
  private func tell(_ event: Event, _ registration: UnsafeMutablePointer<Registration>) {
    guard registration.pointee.event == 0 else {
      events[Int(registration.pointee.event) - 1].readiness.formUnion(event.readiness)
      return
    }
    (events.baseAddress.unsafelyUnwrapped + eventCount).initialize(to: event)
    eventCount += 1
    registration.pointee.event = UInt32(eventCount)
    registration.pointee.exhausted = []
  }

  /// A poll has ended by itself, which happens when there was no room for its completion, and to
  /// one of a single shot always: it is armed again with the next submit, and then reports what is
  /// ready.
  ///
  /// - Returns: false if the kernel refuses to watch the descriptor.
  private func mayPollAgain(
    _ registration: UnsafeMutablePointer<Registration>, after result: Int32
  ) -> Bool {
    registration.pointee.poll = .none
    registration.pointee.armed = []
    var refusal = result < 0 && result != -ECANCELED ? -result : 0
    let fd = registration.pointee.handle.fd
    if refusal == 0 && !registration.pointee.isKnownToBePollable {
      let answer = Self.canBeWatched(fd)
      if answer == false { refusal = EPERM }
      registration.pointee.isKnownToBePollable = answer == true
    }
    guard refusal == 0 else {
      refusals.append((registration.pointee.handle, Errno(rawValue: refusal)))
      drop(registration)
      return false
    }
    counts.rearms += 1
    listAsChanged(fd, registration)
    return true
  }

  /// What cannot be watched, a regular file for example, is always ready in the eyes of io_uring,
  /// where epoll_ctl(2) says EPERM.
  ///
  /// - Returns: nil if there is no descriptor to find it out with.
  private static func canBeWatched(_ fd: Int32) -> Bool? {
    let epoll = fdp_epoll_create()
    guard epoll >= 0 else { return nil }
    defer { _ = fdp_close(epoll) }
    return fdp_epoll_control(epoll, EPOLL_CTL_ADD, fd, 0, 0) != -EPERM
  }

  private func noteEndOfWakeUpPoll() {
    counts.rearms += 1
    needsWakeUpPoll = true
  }

  private func noteFailedCancellation(_ id: RequestID, _ errno: Int32) {
    switch errno {
    case EALREADY:
      // It runs at this moment, and may stay.
      counts.busyCancellations += 1
      cancellations.append(id)
    default:
      // ENOENT: it was over before, and its last completion is lost.
      counts.lateCancellations += 1
      requests.end(id)
    }
  }

  private func noteFailedSecondLook(_ id: RequestID, _ request: Request, _ errno: Int32) {
    // EALREADY: it runs at this moment, which is a look. ECANCELED, ENOENT: it is over; if its last
    // completion is still to come, that is nobody's by then.
    guard errno != EALREADY else { return }
    requests.end(id)
    guard request.state == .active else { return }
    switch request.operation {
    case .wakeUp: noteEndOfWakeUpPoll()
    case .poll, .exclusivePoll:
      _ = mayPollAgain(registrations.pointer(to: request.handle.fd), after: 0)
    }
  }

  /// Completions were lost, because the kernel had no memory to keep them (EBADR,
  /// io_uring_enter(2)). Whatever is in flight may have told something, or be over.
  private func lookAtEverything() {
    logger.error("out of memory: the kernel has lost completions; everything is looked at again")
    cancellations = requests.all(.ending)
    secondLooks = requests.all(.active)
  }
}

// MARK: - Bytes

extension UringBackend {
  func noteWouldBlock(_ direction: Interest, of handle: FDHandle) {
    registrations.pointer(to: handle.fd).pointee.exhausted.formUnion(direction)
  }

  /// Another loop's ring may hold the file until that loop has read its mail, so the peer would not
  /// learn of the close before that.
  func close(_ fd: Int32, mayBeHeldElsewhere: Bool) {
    if mayBeHeldElsewhere { _ = fdp_end_connection(fd) }
    _ = fdp_close(fd)
  }
}

// MARK: - The end

extension UringBackend {
  /// Cancels everything and waits for the last completion: from then on the kernel holds no file
  /// for this ring.
  func shutDown() {
    guard ring.isOpen else { return }
    if isEnabled { endRequests() }
    counts.abandoned = UInt64(requests.inFlight)
    ring.close()
  }

  private func endRequests() {
    for id in requests.all(.active) {
      _ = requests.markEnding(id)
      cancellations.append(id)
    }
    changed = []
    eventCount = 0
    needsWakeUpPoll = false
    var rounds = 0
    while requests.inFlight > 0 && rounds < 10_000 {
      _ = collect()
      let hasMore = ring.wait(nanoseconds: 1_000_000) >= 0
      takeCompletions()
      if !hasMore { rounds += 1 }
    }
    if requests.inFlight > 0 {
      logger.error(
        "requests are still in flight after the end of their ring",
        metadata: ["count": "\(requests.inFlight)"])
    }
  }
}

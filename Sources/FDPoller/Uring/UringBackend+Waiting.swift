import CShims
import FDOwnership
import Glibc
import Logging
import SystemPackage

// The wait, and what the kernel's answers mean for polls.

extension UringBackend {
  func wait(timeoutNanoseconds: UInt64?) -> Int {
    if !isEnabled { enable() }
    let isAllCollected = collect()
    if !retold.isEmpty { dropOutdatedRetold() }
    var limit = timeoutNanoseconds.map { Int64(clamping: $0) } ?? -1
    if !isAllCollected || !refusals.isEmpty || !retold.isEmpty || !quieted.isEmpty { limit = 0 }
    waits &+= 1
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
    if !retold.isEmpty { tellAgain() }
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

  func takeCompletions() {
    let count = ring.takeCompletions(completions)
    counts.completions += UInt64(count)
    for completion in completions[..<count] {
      if completion.buffer != nil { buffers.take() }
      let id = RequestID(userData: completion.user_data)
      let part = RequestID.part(ofUserData: completion.user_data)
      guard let request = requests[id] else {
        // It is over: the answer to its cancellation comes after its last completion.
        if part == .cancellation { counts.lateCancellations += 1 }
        if let buffer = completion.buffer { buffers.giveBack(buffer) }
        continue
      }
      switch part {
      case .itself:
        if let stream = request.stream {
          stream._withUnsafeGuaranteedRef { complete(id, request, $0, completion) }
        } else {
          complete(id, request, completion)
        }
      case .cancellation: noteFailedCancellation(id, request, -completion.result)
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
    guard request.operation != .wakeUp else {
      if !completion.hasMore { noteEndOfWakeUpPoll() }
      return
    }
    let registration = registrations.pointer(to: request.handle.fd)
    assert(registration.pointee.poll == id, "an active poll is its registration's")
    if !completion.hasMore && !mayPollAgain(registration, after: completion.result) { return }
    guard completion.result > 0 else { return }
    let readiness = Readiness(rawValue: UInt32(completion.result))
    tell(Event(handle: request.handle, readiness: readiness, poll: id), registration)
  }

  /// What a descriptor has to tell twice in one wait is one event, as with epoll.
  @inline(__always)
  func tell(_ event: Event, _ registration: UnsafeMutablePointer<Registration>) {
    guard registration.pointee.event == 0 else {
      let place = Int(registration.pointee.event) - 1
      events[place].readiness.formUnion(event.readiness)
      if event.poll != .none { events[place].poll = event.poll }
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
}

// MARK: - What goes wrong

extension UringBackend {
  private func noteFailedCancellation(_ id: RequestID, _ request: Request, _ errno: Int32) {
    // EALREADY: it runs at this moment, and may stay.
    guard errno != EALREADY else {
      counts.busyCancellations += 1
      return cancellations.append(id)
    }
    // ENOENT: it was over before. What a poll has still to tell concerns nobody; a request that
    // moves bytes has its memory until it says so itself, which is on its way, if nothing was lost.
    counts.lateCancellations += 1
    guard let stream = request.stream else { return requests.end(id) }
    if hasLostCompletions { stream._withUnsafeGuaranteedRef { endUnheard(id, request, $0) } }
  }

  private func noteFailedSecondLook(_ id: RequestID, _ request: Request, _ errno: Int32) {
    // EALREADY: it runs at this moment, which is a look. ECANCELED, ENOENT: it is over; if its last
    // completion is still to come, that is nobody's by then.
    guard errno != EALREADY else { return }
    requests.end(id)
    guard request.state == .active else { return }
    if request.operation == .wakeUp {
      noteEndOfWakeUpPoll()
    } else {
      _ = mayPollAgain(registrations.pointer(to: request.handle.fd), after: 0)
    }
  }

  /// Completions were lost, because the kernel had no memory to keep them (EBADR,
  /// io_uring_enter(2)). Whatever is in flight may have told something, or be over. A poll tells
  /// again; bytes that were lost cannot be had again, so every request that moves some ends.
  private func lookAtEverything() {
    logger.error("out of memory: the kernel has lost completions; everything is looked at again")
    hasLostCompletions = true
    cancellations = requests.all(.ending)
    for id in requests.all(.active) {
      if requests[id]?.isPoll == true {
        secondLooks.append(id)
      } else {
        cancel(id)
      }
    }
  }
}

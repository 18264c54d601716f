import CShims
import FDOwnership
import SystemPackage

// What the kernel is told before a wait.

extension UringBackend {
  /// Collects everything that the kernel has to know before the next wait.
  ///
  /// - Returns: false if some of it has to wait for the next time, because the kernel takes nothing
  ///   more at the moment.
  func collect() -> Bool {
    endEvents()
    if needsWakeUpPoll && !collectWakeUpPoll() { return false }
    // Polls are removed before their successors are made: what is told to one and heard by nobody,
    // the other finds when it is armed.
    return collectAll(&cancellations) { submitCancellation($0) }
      && collectAll(&changed) { tellOfChange($0) }
      && collectAll(&secondLooks) { lookAgain($0) }
      && collectAll(&sends) { submitSend($0) }
  }

  /// The handlers have had their turn.
  private func endEvents() {
    for event in events[..<eventCount] {
      let registration = registrations.pointer(to: event.handle.fd)
      registration.pointee.event = 0
      if event.poll != .none && needsSecondLook(event) { secondLooks.append(event.poll) }
      if registration.pointee.isHeld(by: event.handle), let stream = registration.pointee.stream {
        stream._withUnsafeGuaranteedRef {
          keepWhatIsLeft($0)
          retell($0, registration.pointee.wanted)
        }
      }
    }
    eventCount = 0
  }

  /// - Parameter submit: turns one element into a submission; false if there is no room for that.
  @inline(__always)
  private func collectAll<Element>(
    _ list: inout [Element], _ submit: (Element) -> Bool
  ) -> Bool {
    guard !list.isEmpty else { return true }
    for index in list.indices {
      if submit(list[index]) { continue }
      counts.fullQueues += 1
      guard ring.submit() >= 0, submit(list[index]) else {
        list.removeFirst(index)
        return false
      }
    }
    list.removeAll(keepingCapacity: true)
    return true
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

  private func submitCancellation(_ id: RequestID) -> Bool {
    guard let request = requests[id], request.state == .ending else { return true }
    guard request.isPoll ? ring.removePoll(id) : ring.cancel(id) else { return false }
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
    if let stream = registration.pointee.stream,
      !stream._withUnsafeGuaranteedRef({ submitInput($0, registration.pointee.wanted) })
    {
      return false
    }
    let wanted = registration.pointee.wantedOfPoll
    if wanted != registration.pointee.armed {
      // Not updated: a poll that is being run keeps what it was armed with.
      if registration.pointee.poll != .none {
        guard ring.removePoll(registration.pointee.poll) else { return false }
        counts.submissions += 1
        _ = requests.markEnding(registration.pointee.poll)
        registration.pointee.poll = .none
        registration.pointee.armed = []
      }
      if !wanted.isEmpty && !arm(fd, registration) { return false }
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
    registration.pointee.armed = registration.pointee.wantedOfPoll
    return true
  }

  /// An exclusive poll is of one shot, which takes it out of the queue of those who wait: of the
  /// loops that share a descriptor each is woken in turn. Of multishot polls the kernel would wake
  /// the first one every time. Unlike epoll it does not know who sleeps: a client may have to wait
  /// for the rest of a tick.
  private static func events(for registration: Registration) -> UInt32 {
    let wanted = registration.wantedOfPoll
    var events: UInt32 = 0
    if wanted.contains(.read) { events |= EPOLLIN.rawValue }
    if wanted.contains(.write) { events |= EPOLLOUT.rawValue }
    if registration.options.contains(.exclusive) { events |= EPOLLEXCLUSIVE.rawValue }
    return events
  }

  @inline(__always)
  private func needsSecondLook(_ event: Event) -> Bool {
    let registration = registrations.pointer(to: event.handle.fd)
    guard registration.pointee.poll == event.poll else { return false }
    let wanted = registration.pointee.wantedOfPoll.subtracting(registration.pointee.exhausted)
    return wanted.contains(.read) && event.readiness.mayRead
      || wanted.contains(.write) && event.readiness.mayWrite
  }
}

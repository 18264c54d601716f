import CShims
import FDOwnership

// What is wanted of descriptors, and what of it the kernel has yet to hear.

extension UringBackend {
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions) {
    let registration = registrations.pointer(to: handle.fd)
    if !registration.pointee.isHeld(by: handle) { hold(handle, options, registration) }
    let before = (registration.pointee.wanted, registration.pointee.wantedOfPoll)
    registration.pointee.wanted = interest
    if let stream = registration.pointee.stream {
      listAsChanged(handle.fd, registration)
      stream._withUnsafeGuaranteedRef { retell($0, interest) }
    }
    if registration.pointee.wantedOfPoll != registration.pointee.armed {
      listAsChanged(handle.fd, registration)
    } else if registration.pointee.poll != .none,
      before.0 == interest || before.1 != registration.pointee.wantedOfPoll
    {
      // What this poll told last, the loop may have declined while the descriptor was another's.
      secondLooks.append(registration.pointee.poll)
    }
  }

  private func hold(
    _ handle: FDHandle, _ options: InsertOptions,
    _ registration: UnsafeMutablePointer<Registration>
  ) {
    // Closing an earlier incarnation has not ended its requests.
    drop(registration)
    var options = options
    if options.contains(.listens) {
      if !abilities.accepts { options.remove(.stream) }
    } else if !abilities.receives && options.contains(.stream) {
      options.insert(.readsByPoll)
    }
    registration.pointee.holder = handle.rawValue &+ 1
    registration.pointee.options = options
    if options.contains(.stream) {
      registration.pointee.stream = .passRetained(ByteStream(handle, options))
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

  /// As `remove`: a close does not end a request, which would keep the file open.
  func forget(_ handle: FDHandle) {
    let registration = registrations.pointer(to: handle.fd)
    guard registration.pointee.isHeld(by: handle) else { return }
    // What was written counts as sent: it is with the kernel before the close, if that takes it.
    if let stream = registration.pointee.stream?.takeUnretainedValue() { _ = sendNow(stream) }
    drop(registration)
  }

  /// Another loop's ring may hold the file until that loop has read its mail, so the peer would not
  /// learn of the close before that.
  func close(_ fd: Int32, mayBeHeldElsewhere: Bool) {
    if mayBeHeldElsewhere { _ = fdp_end_connection(fd) }
    _ = fdp_close(fd)
  }

  func noteWouldBlock(_ direction: Interest, of handle: FDHandle) {
    registrations.pointer(to: handle.fd).pointee.exhausted.formUnion(direction)
  }

  func removeCause(of handle: FDHandle) -> Bool {
    remove(handle)
    return false
  }

  func drop(_ registration: UnsafeMutablePointer<Registration>) {
    // The number may be somebody else's soon.
    if ring.isOpen && registration.pointee.holder != 0 {
      ring.withdraw(registration.pointee.handle.fd)
    }
    cancelPoll(of: registration)
    let stream = registration.pointee.stream
    let isListed = registration.pointee.isListedAsChanged
    registration.pointee = Registration(isListedAsChanged: isListed)
    if let stream { drop(stream) }
  }

  private func cancelPoll(of registration: UnsafeMutablePointer<Registration>) {
    let poll = registration.pointee.poll
    registration.pointee.poll = .none
    registration.pointee.armed = []
    cancel(poll)
  }

  /// With the next submit.
  func cancel(_ id: RequestID) {
    if id != .none && ring.isOpen && requests.markEnding(id) { cancellations.append(id) }
  }

  @inline(__always)
  func listAsChanged(_ fd: Int32, _ registration: UnsafeMutablePointer<Registration>) {
    guard !registration.pointee.isListedAsChanged else { return }
    registration.pointee.isListedAsChanged = true
    changed.append(fd)
  }
}

import CShims
import FDOwnership
import Glibc
import SystemPackage

// The bytes of connections and the clients of listeners. Every operation returns nil if the
// descriptor has no stream on this ring: the caller makes a system call then.

// MARK: - For the user

extension UringBackend {
  @inline(__always)
  private func stream(of handle: FDHandle) -> Unmanaged<ByteStream>? {
    let registration = registrations.pointer(to: handle.fd)
    return registration.pointee.isHeld(by: handle) ? registration.pointee.stream : nil
  }

  /// How many bytes one receive hands out at the most: as many as a system call would.
  private static var receiveLimit: Int { 64 << 10 }

  /// What has come. The bytes stay until the next call of this, or until the tick ends.
  func receive(_ handle: FDHandle) -> Received? {
    guard let stream = stream(of: handle) else { return nil }
    return stream._withUnsafeGuaranteedRef { stream -> Received? in
      if stream.readsByPoll { return nil }
      dropWhatWasRead(stream)
      if !stream.backlog.isEmpty {
        let count = min(stream.backlog.count, Self.receiveLimit)
        stream.whatWasRead = .backlog(count)
        let isLast =
          count == stream.backlog.count && stream.chain.isEmpty && !stream.inputHasEnded
        let bytes = UnsafeRawBufferPointer(rebasing: stream.backlog.bytes[..<count])
        return .bytes(bytes, more: isLast ? .nothing : .atHand)
      }
      if !stream.chain.isEmpty {
        stream.whatWasRead = .firstBuffer
        let isLast = stream.chain.count == 1 && !stream.inputHasEnded
        return .bytes(buffers.first(of: stream.chain), more: isLast ? .nothing : .atHand)
      }
      return switch stream.inputEnd {
      case .none: .wouldBlock
      case .ended: .end
      case .failed(let errno): .failed(errno)
      }
    }
  }

  /// - Parameter takingAhead: the kernel may go on accepting on its own.
  func accept(_ handle: FDHandle, takingAhead: Bool) -> IOResult? {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return nil }
    if stream.readsByPoll == takingAhead { read(stream, byPoll: !takingAhead) }
    if !stream.clients.isEmpty {
      if stream.clients.count == ByteStream.clientLimit / 2 { listAsChanged(stream) }
      return .done(Int(stream.clients.removeFirst()))
    }
    if case .failed(let errno) = stream.inputEnd {
      stream.inputEnd = .none
      listAsChanged(stream)
      return .failed(errno)
    }
    // Nothing is in flight that would take a client away from who asks the kernel now.
    let isIdle = stream.receive == .none && (stream.isQuiet || stream.readsByPoll)
    return isIdle ? nil : .wouldBlock
  }

  func read(_ stream: ByteStream, byPoll: Bool) {
    let registration = registrations.pointer(to: stream.handle.fd)
    stream.readsByPoll = byPoll
    if byPoll {
      registration.pointee.options.insert(.readsByPoll)
    } else {
      registration.pointee.options.remove(.readsByPoll)
    }
    listAsChanged(stream)
  }

  @inline(__always)
  func listAsChanged(_ stream: ByteStream) {
    listAsChanged(stream.handle.fd, registrations.pointer(to: stream.handle.fd))
  }

  func clientsAtHand(of handle: FDHandle) -> Int {
    stream(of: handle)?._withUnsafeGuaranteedRef { $0.clients.count } ?? 0
  }

  /// Takes bytes to be sent with the next submit, as far as there is room. Many are sent at once, and
  /// what the kernel refuses is taken.
  func send(_ handle: FDHandle, _ bytes: UnsafeRawBufferPointer) -> IOResult? {
    guard let stream = stream(of: handle) else { return nil }
    return stream._withUnsafeGuaranteedRef { stream in
      if let errno = stream.outputFailure { return .failed(errno) }
      guard bytes.count >= ByteStream.directLimit, stream.queuedOutput == 0, !stream.isQuiet
      else { return take(bytes, stream) }
      let result = ByteOperations.send(handle, bytes)
      guard case .done(let count) = result else {
        return result == .wouldBlock ? take(bytes, stream) : result
      }
      let rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
      if case .done(let taken) = take(rest, stream) { return .done(count + taken) }
      return result
    }
  }

  @inline(__always)
  private func take(_ bytes: UnsafeRawBufferPointer, _ stream: ByteStream) -> IOResult {
    let room = ByteStream.outputLimit - stream.queuedOutput
    let count = min(room, bytes.count)
    guard count > 0 else { return bytes.isEmpty ? .done(0) : .wouldBlock }
    stream.waiting.append(
      UnsafeRawBufferPointer(start: bytes.baseAddress, count: count), from: &reserve)
    listToSend(stream)
    return .done(count)
  }

  /// - Returns: "would block" while there is something to send; the end of that is told to who wants
  ///   to write.
  func shutDownOutput(_ handle: FDHandle) -> IOResult? {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return nil }
    if sendNow(stream) { return nil }
    if let errno = stream.outputFailure { return .failed(errno) }
    stream.isFinishing = true
    return .wouldBlock
  }

  func queuedOutput(of handle: FDHandle) -> Int {
    stream(of: handle)?._withUnsafeGuaranteedRef { $0.queuedOutput } ?? 0
  }

  /// Why what was written could not be sent.
  func outputFailure(of handle: FDHandle) -> Errno? {
    stream(of: handle)?._withUnsafeGuaranteedRef { $0.outputFailure }
  }

  /// Sends what is written, if the kernel takes it at this moment.
  ///
  /// - Returns: whether nothing is left of it.
  func sendAll(_ handle: FDHandle) -> Bool {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return true }
    return sendNow(stream)
  }

  func connect(_ handle: FDHandle, _ address: UnsafeRawPointer, _ length: UInt32) -> IOResult? {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return nil }
    stream.address.append(UnsafeRawBufferPointer(start: address, count: Int(length)))
    listAsChanged(stream)
    return .wouldBlock
  }

  /// What a connect has come to, once.
  func takeConnectResult(_ handle: FDHandle) -> Int32? {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return nil }
    defer { stream.connectResult = nil }
    return stream.connectResult
  }
}

// MARK: - Coming to rest

extension UringBackend {
  /// Ends whatever is in flight for a stream and begins nothing new; what arrives meanwhile is kept
  /// for its user.
  ///
  /// - Parameter body: called when nothing is in flight, at once if that is so.
  func quiet(_ handle: FDHandle, _ body: @escaping () -> Void) {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return body() }
    precondition(!stream.isQuiet, "a stream comes to rest for one user at a time")
    stream.isQuiet = true
    guard stream.inFlight > 0 else { return body() }
    stream.whenQuiet = body
    cancelAll(stream)
  }

  /// Whether nothing is in flight for the descriptor but its poll.
  func isAtRest(_ handle: FDHandle) -> Bool {
    stream(of: handle)?._withUnsafeGuaranteedRef {
      $0.readsByPoll && $0.inFlight == 0 && $0.queuedOutput == 0
    } ?? true
  }

  /// The closures of `quiet` whose time has come.
  func takeQuieted() -> [() -> Void] {
    guard !quieted.isEmpty else { return [] }
    defer { quieted = [] }
    return quieted
  }

  /// Goes on after `quiet`.
  func resume(_ handle: FDHandle) {
    guard let stream = stream(of: handle)?.takeUnretainedValue() else { return }
    let registration = registrations.pointer(to: handle.fd)
    stream.isQuiet = false
    listAsChanged(handle.fd, registration)
    if stream.queuedOutput > 0 { listToSend(stream) }
    retell(stream, registration.pointee.wanted)
  }

  /// Takes the stream, which is quiet, out of this ring, to be given to another loop's.
  func detach(_ handle: FDHandle) -> ByteStream? {
    guard let stream = stream(of: handle) else { return nil }
    registrations.pointer(to: handle.fd).pointee.stream = nil
    let detached = stream.takeRetainedValue()
    precondition(detached.inFlight == 0 && detached.isQuiet, "a stream moves when it is quiet")
    keepWhatIsLeft(detached)
    (detached.isListedToSend, detached.isListedToTell) = (false, false)
    return detached
  }

  func attach(_ stream: ByteStream, wanting interest: Interest, _ options: InsertOptions) {
    setInterest([], of: stream.handle, options)
    let registration = registrations.pointer(to: stream.handle.fd)
    if let fresh = registration.pointee.stream { drop(fresh) }
    registration.pointee.stream = .passRetained(stream)
    setInterest(interest, of: stream.handle, options)
    resume(stream.handle)
  }

  /// The descriptor is not this loop's any more.
  func drop(_ reference: Unmanaged<ByteStream>) {
    reference._withUnsafeGuaranteedRef { stream in
      stream.isDropped = true
      stream.whatWasRead = .nothing
      while !stream.chain.isEmpty { buffers.removeFirst(of: &stream.chain) }
      for client in stream.clients { _ = fdp_close(client) }
      stream.clients = []
      cancelAll(stream)
      noteEnd(stream)
    }
    if reference._withUnsafeGuaranteedRef({ $0.inFlight == 0 }) { reference.release() }
  }

  private func cancelAll(_ stream: ByteStream) {
    for id in [stream.receive, stream.send, stream.connect] { cancel(id) }
  }

  /// Something may have been the last in flight.
  func noteEnd(_ stream: ByteStream) {
    guard stream.inFlight == 0, let body = stream.whenQuiet else { return }
    stream.whenQuiet = nil
    quieted.append(body)
  }
}

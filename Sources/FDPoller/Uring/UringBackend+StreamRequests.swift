import CShims
import FDOwnership
import Glibc
import SystemPackage

// What is told of streams, and the requests that serve them.

// MARK: - Telling the user

extension UringBackend {
  /// What the stream can do for its user will be told after the next wait, which does not last.
  @inline(__always)
  func retell(_ stream: ByteStream, _ wanted: Interest) {
    guard !stream.isListedToTell, !stream.readiness(for: wanted).isEmpty else { return }
    stream.isListedToTell = true
    retold.append(stream.handle.fd)
  }

  /// The handlers have done what was to be told of.
  func dropOutdatedRetold() {
    retold.removeAll { fd in
      let registration = registrations.pointer(to: fd)
      guard let stream = registration.pointee.stream else { return true }
      return stream._withUnsafeGuaranteedRef {
        guard $0.readiness(for: registration.pointee.wanted).isEmpty else { return false }
        $0.isListedToTell = false
        return true
      }
    }
  }

  func tellAgain() {
    let count = min(retold.count, completions.count)
    for fd in retold[..<count] {
      let registration = registrations.pointer(to: fd)
      guard let stream = registration.pointee.stream else { continue }
      stream._withUnsafeGuaranteedRef {
        $0.isListedToTell = false
        tell($0)
      }
    }
    retold.removeFirst(count)
  }

  @inline(__always)
  private func tell(_ stream: ByteStream, _ more: Readiness = []) {
    let registration = registrations.pointer(to: stream.handle.fd)
    let readiness = stream.readiness(for: registration.pointee.wanted).union(more)
    guard !readiness.isEmpty else { return }
    tell(Event(handle: stream.handle, readiness: readiness, poll: .none), registration)
  }

  @inline(__always)
  func dropWhatWasRead(_ stream: ByteStream) {
    switch stream.whatWasRead {
    case .nothing: return
    case .backlog(let count):
      let wasFull = stream.backlog.count > ByteStream.backlogLimit
      stream.backlog.removeFirst(count)
      if wasFull && stream.backlog.count <= ByteStream.backlogLimit { listAsChanged(stream) }
    case .firstBuffer: buffers.removeFirst(of: &stream.chain)
    }
    stream.whatWasRead = .nothing
  }

  /// Gives the kernel its buffers back.
  @inline(__always)
  func keepWhatIsLeft(_ stream: ByteStream) {
    dropWhatWasRead(stream)
    guard !stream.chain.isEmpty else { return }
    while !stream.chain.isEmpty {
      stream.backlog.append(buffers.first(of: stream.chain))
      buffers.removeFirst(of: &stream.chain)
    }
    if stream.backlog.count > ByteStream.backlogLimit { listAsChanged(stream) }
  }
}

// MARK: - Submitting

extension UringBackend {
  @inline(__always)
  func listToSend(_ stream: ByteStream) {
    guard !stream.isListedToSend, stream.send == .none else { return }
    stream.isListedToSend = true
    sends.append(stream.handle.fd)
  }

  /// - Returns: false if there is no room among the submissions.
  func submitSend(_ fd: Int32) -> Bool {
    guard let stream = registrations.pointer(to: fd).pointee.stream else { return true }
    return stream._withUnsafeGuaranteedRef { stream in
      stream.isListedToSend = false
      guard stream.send == .none, !stream.isQuiet else { return true }
      if stream.sending.isEmpty { swap(&stream.sending, &stream.waiting) }
      guard !stream.sending.isEmpty else { return true }
      stream.sendWait = waits &+ 1
      stream.send = begin(.send, stream) { ring.send(fd, stream.sending.bytes, $0) }
      return stream.send != .none
    }
  }

  /// Brings what the kernel does for the stream's input, or its making, in line with what is wanted.
  ///
  /// - Returns: false if there is no room among the submissions.
  func submitInput(_ stream: ByteStream, _ wanted: Interest) -> Bool {
    let fd = stream.handle.fd
    if !stream.address.isEmpty && stream.connect == .none && !stream.isQuiet {
      stream.connect = begin(.connect, stream) { ring.connect(fd, stream.address.bytes, $0) }
      if stream.connect == .none { return false }
    }
    if hasLostCompletions && !stream.readsByPoll { read(stream, byPoll: true) }
    let wantsInput =
      wanted.contains(.read) && !stream.readsByPoll && !stream.isQuiet && !stream.inputHasEnded
      && stream.clients.count < ByteStream.clientLimit
      && stream.backlog.count <= ByteStream.backlogLimit
    if !wantsInput {
      guard stream.receive != .none, requests[stream.receive]?.state == .active else { return true }
      guard ring.cancel(stream.receive) else { return false }
      counts.submissions += 1
      _ = requests.markEnding(stream.receive)
    } else if stream.receive == .none {
      stream.receive =
        stream.listens
        ? begin(.accept, stream) { ring.accept(fd, $0) }
        : begin(.receive, stream) { ring.receive(fd, $0) }
      return stream.receive != .none
    }
    return true
  }

  /// - Returns: none if there is no room among the submissions.
  @inline(__always)
  private func begin(
    _ operation: Request.Operation, _ stream: ByteStream, _ submit: (RequestID) -> Bool
  ) -> RequestID {
    let id = requests.begin(operation, for: stream.handle, stream)
    guard submit(id) else {
      requests.end(id)
      return .none
    }
    counts.submissions += 1
    stream.inFlight += 1
    return id
  }

  /// By a system call, unless the kernel has a part of it already.
  ///
  /// - Returns: whether nothing is left.
  func sendNow(_ stream: ByteStream) -> Bool {
    guard stream.send == .none, stream.outputFailure == nil else { return false }
    while stream.queuedOutput > 0 {
      if stream.sending.isEmpty { swap(&stream.sending, &stream.waiting) }
      switch ByteOperations.send(stream.handle, stream.sending.bytes) {
      case .done(let count): stream.sending.removeFirst(count, to: &reserve)
      case .wouldBlock: return false
      case .failed(let errno):
        failOutput(stream, errno)
        return false
      }
    }
    return true
  }
}

// MARK: - Completing

extension UringBackend {
  func complete(
    _ id: RequestID, _ request: Request, _ stream: ByteStream, _ completion: fdp_completion
  ) {
    switch request.operation {
    case .receive: completeReceive(stream, completion)
    case .accept: completeAccept(stream, completion.result)
    case .send: completeSend(stream, completion.result)
    case .connect: completeConnect(stream, completion.result)
    case .poll, .exclusivePoll, .wakeUp: preconditionFailure("a poll is of no stream")
    }
    if !completion.hasMore { end(id, request, stream) }
    guard !stream.isDropped else { return release(stream) }
    if stream.outputFailure != nil {
      tell(stream, [.error])
    } else if request.operation == .send && stream.sendWait != waits {
      // The peer has made room after a while, which deadlines want to know.
      tell(stream, [.write])
    } else {
      tell(stream)
    }
    // Nobody is told, so nobody would give the buffers back.
    if registrations.pointer(to: stream.handle.fd).pointee.event == 0 { keepWhatIsLeft(stream) }
  }

  private func completeReceive(_ stream: ByteStream, _ completion: fdp_completion) {
    if let buffer = completion.buffer {
      if completion.result > 0 && !stream.isDropped {
        buffers.add(buffer, holding: Int(completion.result), to: &stream.chain)
      } else {
        buffers.giveBack(buffer)
      }
    }
    switch -completion.result {
    case 0: stream.inputEnd = .ended
    case ENOBUFS: buffers.noteShortage()
    case ...0, ECANCELED, EAGAIN, EINTR: break
    case let errno: stream.inputEnd = .failed(Errno(rawValue: errno))
    }
  }

  private func completeAccept(_ stream: ByteStream, _ result: Int32) {
    switch -result {
    case ...0 where stream.isDropped: _ = fdp_close(result)
    case ...0:
      stream.clients.append(result)
      if stream.clients.count == ByteStream.clientLimit { listAsChanged(stream) }
    case ECANCELED, EAGAIN, EINTR: break
    case let errno: stream.inputEnd = .failed(Errno(rawValue: errno))
    }
  }

  private func completeSend(_ stream: ByteStream, _ result: Int32) {
    switch -result {
    case ...0: stream.sending.removeFirst(Int(result), to: &reserve)
    case ECANCELED, EAGAIN, EINTR: break
    case let errno: failOutput(stream, Errno(rawValue: errno))
    }
  }

  func failOutput(_ stream: ByteStream, _ errno: Errno) {
    stream.outputFailure = errno
    stream.sending.removeAll()
    stream.waiting.removeAll()
  }

  private func completeConnect(_ stream: ByteStream, _ result: Int32) {
    stream.address.removeAll()
    stream.connectResult = result
  }

  /// The request has told its last.
  @inline(__always)
  private func end(_ id: RequestID, _ request: Request, _ stream: ByteStream) {
    requests.end(id)
    stream.inFlight -= 1
    switch request.operation {
    case .send:
      stream.send = .none
      if stream.queuedOutput > 0 && !stream.isDropped { listToSend(stream) }
    case .connect:
      stream.connect = .none
    default:
      stream.receive = .none
      let registration = registrations.pointer(to: stream.handle.fd)
      if !stream.isDropped && registration.pointee.wanted.contains(.read) {
        if !stream.inputHasEnded && request.state == .active { counts.rearms += 1 }
        listAsChanged(stream.handle.fd, registration)
      }
    }
    if stream.whenQuiet != nil { noteEnd(stream) }
  }

  private func release(_ stream: ByteStream) {
    if stream.inFlight == 0 { Unmanaged.passUnretained(stream).release() }
  }

  /// Its completions were lost, and with them what they would have told.
  func endUnheard(_ id: RequestID, _ request: Request, _ stream: ByteStream) {
    switch request.operation {
    case .send: failOutput(stream, .noMemory)
    case .connect: completeConnect(stream, -ENOMEM)
    default: stream.inputEnd = .failed(.noMemory)
    }
    end(id, request, stream)
    guard !stream.isDropped else { return release(stream) }
    tell(stream, stream.outputFailure == nil ? [] : [.error])
  }
}

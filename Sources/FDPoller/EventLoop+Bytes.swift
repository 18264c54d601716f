import CShims
import FDOwnership
package import SystemPackage

// The operations of a connection or a listener on its own descriptor: system calls, or, for what was
// inserted as a stream on a loop with an io_uring, the ring's. Either way they do not block and are
// tried when the descriptor is ready. On the loop that owns it.

/// What a receive came to.
package enum Received {
  /// At least one, valid until the next receive on this loop or the end of the tick.
  case bytes(UnsafeRawBufferPointer, more: More)
  /// The peer has sent all it will.
  case end
  case wouldBlock
  case failed(Errno)

  /// Whether another receive is worth while.
  package enum More {
    /// Not before the next event.
    case nothing
    /// It costs no system call.
    case atHand
    /// The kernel may have more.
    case inKernel
  }
}

extension EventLoop {
  @inline(__always)
  private func noting(_ result: IOResult, _ direction: Interest, of handle: FDHandle) -> IOResult {
    switch result {
    case .done: noteProgress(of: handle)
    case .wouldBlock: backend.noteWouldBlock(direction, of: handle)
    case .failed: break
    }
    return result
  }

  @inline(__always)
  package func receive(_ handle: FDHandle) -> Received {
    if case .uring(let uring) = backend { return receive(handle, from: uring) }
    return receiveFromKernel(handle)
  }

  @inline(__always)
  private func receiveFromKernel(_ handle: FDHandle) -> Received {
    let result = ByteOperations.receive(handle, into: scratch, peeking: false)
    switch noting(result, .read, of: handle) {
    case .done(0): return .end
    case .done(let count):
      // Less than there was room for: the socket is empty, and tells when it is not.
      let bytes = UnsafeRawBufferPointer(start: scratch.baseAddress, count: count)
      return .bytes(bytes, more: count < scratch.count ? .nothing : .inKernel)
    case .wouldBlock: return .wouldBlock
    case .failed(let errno): return .failed(errno)
    }
  }

  @inline(never)
  private func receive(_ handle: FDHandle, from uring: Unmanaged<UringBackend>) -> Received {
    let received = uring._withUnsafeGuaranteedRef { $0.receive(handle) }
    switch received {
    case .bytes, .end: noteProgress(of: handle)
    case .wouldBlock, .failed: break
    case nil: return receiveFromKernel(handle)
    }
    return received.unsafelyUnwrapped
  }

  /// Looks at what could be received without taking it: one byte at the most. Of a descriptor that
  /// reads by system calls. Not into `scratch`, since a handler may be reading what another
  /// descriptor received there.
  package func peek(_ handle: FDHandle) -> IOResult {
    var byte: UInt8 = 0
    return withUnsafeMutableBytes(of: &byte) {
      ByteOperations.receive(handle, into: $0, peeking: true)
    }
  }

  @inline(__always)
  package func send(_ handle: FDHandle, _ bytes: UnsafeRawBufferPointer) -> IOResult {
    if case .uring(let uring) = backend { return send(handle, bytes, to: uring) }
    return noting(ByteOperations.send(handle, bytes), .write, of: handle)
  }

  @inline(never)
  private func send(
    _ handle: FDHandle, _ bytes: UnsafeRawBufferPointer, to uring: Unmanaged<UringBackend>
  ) -> IOResult {
    guard let result = uring._withUnsafeGuaranteedRef({ $0.send(handle, bytes) }) else {
      return noting(ByteOperations.send(handle, bytes), .write, of: handle)
    }
    if case .done = result { noteProgress(of: handle) }
    return result
  }

  /// Whether sends may take what the kernel has not got yet.
  @inline(__always)
  package var holdsOutput: Bool {
    if case .uring = backend { true } else { false }
  }

  /// How many bytes sends have taken that the kernel has not got yet.
  package func queuedOutput(of handle: FDHandle) -> Int {
    backend.uring?.queuedOutput(of: handle) ?? 0
  }

  /// Why bytes that a send has taken could not be sent after all.
  package func outputFailure(of handle: FDHandle) -> Errno? {
    backend.uring?.outputFailure(of: handle)
  }

  /// Sends what sends have taken and the kernel has not got yet.
  ///
  /// - Returns: whether the kernel has all of it.
  package func sendAll(_ handle: FDHandle) -> Bool { backend.uring?.sendAll(handle) ?? true }

  package func shutDownOutput(_ handle: FDHandle) -> IOResult {
    // Not through the ring, whose kernel side would hand it to a thread of its own: 25 us for a
    // system call of less than one (seen on Linux 6.18).
    let result =
      backend.uring?.shutDownOutput(handle) ?? ByteOperations.shutDownOutput(handle)
    if case .done = result { noteProgress(of: handle) }
    return result
  }

  /// The next client's descriptor.
  ///
  /// - Parameter takingAhead: the loop may have more clients accepted than it is asked for. All that
  ///   are queued are, before the first one is served, so there must be descriptors left then.
  package func accept(_ handle: FDHandle, takingAhead: Bool) -> IOResult {
    guard let result = backend.uring?.accept(handle, takingAhead: takingAhead)
    else { return acceptDirectly(handle) }
    if case .done = result { noteProgress(of: handle) }
    return result
  }

  /// How many clients the next accepts return without asking the kernel.
  package func clientsAtHand(of handle: FDHandle) -> Int {
    backend.uring?.clientsAtHand(of: handle) ?? 0
  }

  /// As `accept`, past whatever the loop may have at hand.
  package func acceptDirectly(_ handle: FDHandle) -> IOResult {
    noting(ByteOperations.accept(handle, nil, nil), .read, of: handle)
  }

  /// Begins to connect, of which the end is told to who wants to write.
  ///
  /// - Parameters:
  ///   - address: of a kind that the kernel may take its time to connect to, or not.
  ///   - isLocal: it connects at once or not at all.
  package func connect(
    _ handle: FDHandle, _ address: UnsafeRawPointer, _ length: UInt32, isLocal: Bool
  ) -> IOResult {
    if !isLocal, let result = backend.uring?.connect(handle, address, length) { return result }
    let result = ByteOperations.connect(handle, address, length)
    if case .done = result { noteProgress(of: handle) }
    return result
  }

  /// What a connect has come to that has ended.
  package func connectResult(_ handle: FDHandle) -> IOResult {
    if let result = backend.uring?.takeConnectResult(handle) { return IOResult(Int(result)) }
    var error: Int32 = 0
    let result = fdp_get_option(handle.fd, SOL_SOCKET, SO_ERROR, &error)
    return IOResult(Int(result == 0 ? -error : result))
  }
}

// MARK: - Coming to rest

extension EventLoop {
  /// Has nothing of a stream in flight and begins nothing, until it is handed over, deleted or
  /// resumed. What arrives meanwhile, and what is sent, waits.
  ///
  /// - Parameter body: called when that is so, at once or later; also if it is deleted meanwhile.
  package func quiet(_ handle: FDHandle, _ body: @escaping () -> Void) {
    guard let uring = backend.uring else { return body() }
    uring.quiet(handle, body)
  }

  package func resume(_ handle: FDHandle) { backend.uring?.resume(handle) }

  /// A descriptor has been handed over to this loop, with what the former one had of its stream.
  func attach(_ handle: FDHandle, _ stream: ByteStream?, wanting interest: Interest) {
    if let stream, let uring = backend.uring {
      uring.attach(stream, wanting: interest, options(of: handle))
    } else {
      backend.setInterest(interest, of: handle, options(of: handle))
    }
  }
}

import CShims
import FDPoller
import Glibc

/// What a write came to.
public enum WriteResult: Sendable, Equatable {
  /// The kernel has taken all of it; or a loop with an io_uring has, which is as if the socket's
  /// buffer were 64 KiB larger: it sends with the end of its tick, or as the peer takes it.
  case sent
  /// It is queued, in part or whole.
  case queued
  /// As `queued`, and the output is above the high watermark: pause the input until `drained`.
  case queuedAboveWatermark
  /// The connection takes no output any more; the bytes are lost.
  case refused
}

extension Connection {
  /// Sends bytes: at once if nothing waits, copying only what the socket does not take. Never
  /// blocks and never calls back. On the loop.
  @discardableResult
  public func write(_ bytes: RawSpan) -> WriteResult {
    bytes.withUnsafeBytes { write($0) }
  }

  /// As `write(_:)` with a span.
  @discardableResult
  public func write(_ bytes: UnsafeRawBufferPointer) -> WriteResult {
    assert(loop.isCurrent, "a connection is used on its loop")
    guard phase == .open, outputState == .open else { return .refused }
    var rest = bytes
    if output.isEmpty {
      switch loopReference.with({ send(bytes, on: $0) }) {
      case .done(let count):
        if count == bytes.count {
          if loopReference.with({ $0.holdsOutput }) { startDeadlines() }
          return .sent
        }
        rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
      case .wouldBlock:
        break
      case .failed(let errno):
        failOutput(errno)
        return .refused
      }
      loop.want(.write, handle)
    }
    output.append(rest)
    startDeadlines()
    guard output.count > settings.highWatermark else { return .queued }
    isAboveWatermark = true
    return .queuedAboveWatermark
  }

  /// The bytes that wait for the socket, beside what counts as `sent`.
  public var queuedOutput: Int { output.count }

  /// Whether the output is above the high watermark, or has been and not yet fallen to the low one.
  public var isCongested: Bool { isAboveWatermark }

  /// Whether `write` takes bytes.
  public var isWritable: Bool { phase == .open && outputState == .open }

  /// Whether the connection is closed or on its way there.
  public var isClosing: Bool { phase == .closing || phase == .closed }

  /// Receives nothing until `resumeReading()`; the kernel's buffer fills and slows the peer down.
  /// On the loop.
  public func pauseReading() {
    assert(loop.isCurrent, "a connection is used on its loop")
    guard phase == .open, input == .reading else { return }
    input = .paused
    loop.stop(.read, handle)
  }

  /// On the loop.
  public func resumeReading() {
    assert(loop.isCurrent, "a connection is used on its loop")
    guard phase == .open, input == .paused else { return }
    input = .reading
    deadlines.lastInput = loop.tickTime
    loop.want(.read, handle)
    startDeadlines()
  }

  /// Sends what is queued and then the end of the stream; input goes on (half-close). On the loop.
  public func finishOutput() {
    assert(loop.isCurrent, "a connection is used on its loop")
    guard phase == .open || phase == .closing, outputState == .open else { return }
    outputState = .finishing
    if output.isEmpty { shutDown() }
  }

  /// Closes in order: sends what is queued and the end of the stream, discards input until the peer
  /// is done too, or until the drain deadline. (A close with unread input would be a reset, which
  /// destroys output that the peer has not read yet; RFC 9293, 3.6.1.) Input is not delivered any
  /// more. On the loop.
  ///
  /// - Parameter awaitingPeer: false if the peer has said that it sends nothing more, in a way that
  ///   the handler understands: where the kernel has taken everything that was written, and nothing
  ///   is known to have come after all, its end of the stream is not waited for. That saves two
  ///   system calls and an event (HTTP: RFC 9112, section 9.6).
  public func close(awaitingPeer: Bool = true) {
    assert(loop.isCurrent, "a connection is used on its loop")
    guard phase == .open else {
      if phase == .connecting || phase == .parked { end(.finished) }
      return
    }
    if !awaitingPeer && isQuiet { return end(.finished) }
    phase = .closing
    deadlines.closeBegan = EventLoop.clock()
    if input == .paused {
      input = .reading
      loop.want(.read, handle)
    }
    finishOutput()
    startDeadlines()
  }

  /// The kernel has what was written, and nothing is known to have arrived.
  private var isQuiet: Bool {
    output.isEmpty && outputState == .open && input != .paused && !hasMoreInput
      && loopReference.with { $0.sendAll(handle) }
  }

  /// Closes at once: queued output is lost. Over TCP the peer gets a reset (SO_LINGER 0,
  /// socket(7)); a Unix socket's peer just the end, or ECONNRESET if it sent what was not read
  /// here. On the loop.
  public func abort() {
    assert(loop.isCurrent, "a connection is used on its loop")
    guard phase != .closed else { return }
    endByReset()
    end(.aborted)
  }

  /// As `abort`, but nobody is told of it: for a handler that may have gone to another loop by the
  /// time at which `closed` would be called here.
  package func abandon() {
    farewell = .unwanted
    abort()
    handler = nil
  }

  /// The end of the connection, which is about to come, is to be a reset over TCP.
  func endByReset() { _ = fdp_set_linger(handle.fd, true, 0) }

  /// Says who is told about the connection from now on. If the connection is gone and nobody has
  /// been told, the handler's `closed` is called soon. On the loop.
  public func setHandler(_ handler: any ConnectionHandler) {
    assert(loop.isCurrent, "a connection is used on its loop")
    switch farewell {
    case .early:
      self.handler = handler
      if phase == .open && input == .reading { loop.want(.read, handle) }
    case .owed:
      farewell = .said
      loop.defer { self.sayFarewell(to: handler) }
    case .said, .unwanted:
      break
    }
  }

  /// The address of the peer; nil if the socket has none any more, or is closed. On the loop.
  public var peerAddress: SocketAddress? {
    phase == .closed ? nil : SocketAddress.reading { fdp_peer_address(handle.fd, $0, $1) }
  }

  /// The address of this end; nil if the socket is closed. On the loop.
  public var localAddress: SocketAddress? {
    phase == .closed ? nil : SocketAddress.reading { fdp_local_address(handle.fd, $0, $1) }
  }
}

import FDOwnership
import Logging
import SystemPackage

/// A loop's backend. Not `any Backend`: with the two classes named, what a tick asks of them is
/// called directly and inlined.
enum KernelPoller {
  case epoll(EpollBackend)
  case uring(UringBackend)
}

extension KernelPoller {
  @inline(__always)
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions) {
    switch self {
    case .epoll(let backend): backend.setInterest(interest, of: handle, options)
    case .uring(let backend): backend.setInterest(interest, of: handle, options)
    }
  }

  func renew(_ handle: FDHandle) {
    switch self {
    case .epoll(let backend): backend.renew(handle)
    case .uring(let backend): backend.renew(handle)
    }
  }

  @inline(__always)
  func interest(in handle: FDHandle) -> Interest {
    switch self {
    case .epoll(let backend): backend.interest(in: handle)
    case .uring(let backend): backend.interest(in: handle)
    }
  }

  func remove(_ handle: FDHandle) {
    switch self {
    case .epoll(let backend): backend.remove(handle)
    case .uring(let backend): backend.remove(handle)
    }
  }

  func forget(_ handle: FDHandle) {
    switch self {
    case .epoll(let backend): backend.forget(handle)
    case .uring(let backend): backend.forget(handle)
    }
  }

  func removeCause(of handle: FDHandle) -> Bool {
    switch self {
    case .epoll(let backend): backend.removeCause(of: handle)
    case .uring(let backend): backend.removeCause(of: handle)
    }
  }

  @inline(__always)
  func wait(timeoutNanoseconds: UInt64?) -> Int {
    switch self {
    case .epoll(let backend): backend.wait(timeoutNanoseconds: timeoutNanoseconds)
    case .uring(let backend): backend.wait(timeoutNanoseconds: timeoutNanoseconds)
    }
  }

  @inline(__always)
  func event(at index: Int) -> (handle: FDHandle, readiness: Readiness) {
    switch self {
    case .epoll(let backend): backend.event(at: index)
    case .uring(let backend): backend.event(at: index)
    }
  }

  @inline(__always)
  func takeRefusals() -> [(handle: FDHandle, errno: Errno)] {
    switch self {
    case .epoll(let backend): backend.takeRefusals()
    case .uring(let backend): backend.takeRefusals()
    }
  }

  func accept(
    _ listener: FDHandle, _ address: UnsafeMutableRawPointer?,
    _ length: UnsafeMutablePointer<UInt32>?
  ) -> IOResult {
    switch self {
    case .epoll(let backend): backend.accept(listener, address, length)
    case .uring(let backend): backend.accept(listener, address, length)
    }
  }

  func connect(_ handle: FDHandle, _ address: UnsafeRawPointer, _ length: UInt32) -> IOResult {
    switch self {
    case .epoll(let backend): backend.connect(handle, address, length)
    case .uring(let backend): backend.connect(handle, address, length)
    }
  }

  @inline(__always)
  func receive(
    _ handle: FDHandle, into buffer: UnsafeMutableRawBufferPointer, peeking: Bool
  ) -> IOResult {
    switch self {
    case .epoll(let backend): backend.receive(handle, into: buffer, peeking: peeking)
    case .uring(let backend): backend.receive(handle, into: buffer, peeking: peeking)
    }
  }

  @inline(__always)
  func send(_ handle: FDHandle, _ bytes: UnsafeRawBufferPointer) -> IOResult {
    switch self {
    case .epoll(let backend): backend.send(handle, bytes)
    case .uring(let backend): backend.send(handle, bytes)
    }
  }

  func shutDownOutput(_ handle: FDHandle) -> IOResult {
    switch self {
    case .epoll(let backend): backend.shutDownOutput(handle)
    case .uring(let backend): backend.shutDownOutput(handle)
    }
  }

  func close(_ fd: Int32, mayBeHeldElsewhere: Bool) {
    switch self {
    case .epoll(let backend): backend.close(fd, mayBeHeldElsewhere: mayBeHeldElsewhere)
    case .uring(let backend): backend.close(fd, mayBeHeldElsewhere: mayBeHeldElsewhere)
    }
  }

  func shutDown() {
    switch self {
    case .epoll(let backend): backend.shutDown()
    case .uring(let backend): backend.shutDown()
    }
  }
}

// MARK: - The choice

extension KernelPoller {
  /// Which of the two, as far as it can be told before one is made.
  enum Choice {
    case epoll
    case uring(RingMode)

    /// - Throws: `PollerError.ioUringUnavailable`, if io_uring is asked for and cannot be had.
    init(for configuration: PollerConfiguration) throws(PollerError) {
      guard configuration.io != .epoll else {
        self = .epoll
        return
      }
      let mode: RingMode
      do {
        mode = try RingProbe.bestMode(configuration.ringSetup)
      } catch {
        guard configuration.io == .automatic else { throw .ioUringUnavailable(error.reason) }
        Self.logFallback(because: error.reason, configuration.logger)
        self = .epoll
        return
      }
      if let lacks = mode.lacks {
        configuration.logger.notice(
          "io_uring is used without something that makes it faster",
          metadata: ["lacks": "\(lacks)"])
      }
      self = .uring(mode)
    }

    static func logFallback(because reason: String, _ logger: Logger) {
      logger.notice("epoll is used, because io_uring cannot be", metadata: ["reason": "\(reason)"])
    }
  }

  init(
    _ choice: Choice, limit: Int, wakeUp: Int32, _ configuration: PollerConfiguration
  ) throws(PollerError) {
    let logger = configuration.logger
    switch choice {
    case .epoll:
      self = .epoll(try EpollBackend(limit: limit, wakeUp: wakeUp, logger: logger))
    case .uring(let mode):
      self = .uring(
        try UringBackend(
          limit: limit, wakeUp: wakeUp, mode: mode, setup: configuration.ringSetup, logger: logger))
    }
  }
}

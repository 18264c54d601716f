import FDOwnership
import Logging
import SystemPackage

/// A loop's backend, which the loop releases at its end. Not `any Backend`, and not retained: so
/// what a tick asks of it is called directly, inlined, and without reference counting.
enum KernelPoller {
  case epoll(Unmanaged<EpollBackend>)
  case uring(Unmanaged<UringBackend>)

  var epoll: EpollBackend? {
    if case .epoll(let backend) = self { backend.takeUnretainedValue() } else { nil }
  }

  var uring: UringBackend? {
    if case .uring(let backend) = self { backend.takeUnretainedValue() } else { nil }
  }

  func release() {
    switch self {
    case .epoll(let backend): backend.release()
    case .uring(let backend): backend.release()
    }
  }
}

extension KernelPoller {
  @inline(__always)
  func setInterest(_ interest: Interest, of handle: FDHandle, _ options: InsertOptions) {
    switch self {
    case .epoll(let backend):
      backend._withUnsafeGuaranteedRef { $0.setInterest(interest, of: handle, options) }
    case .uring(let backend):
      backend._withUnsafeGuaranteedRef { $0.setInterest(interest, of: handle, options) }
    }
  }

  func renew(_ handle: FDHandle) {
    switch self {
    case .epoll(let backend): backend._withUnsafeGuaranteedRef { $0.renew(handle) }
    case .uring(let backend): backend._withUnsafeGuaranteedRef { $0.renew(handle) }
    }
  }

  @inline(__always)
  func interest(in handle: FDHandle) -> Interest {
    switch self {
    case .epoll(let backend): backend._withUnsafeGuaranteedRef { $0.interest(in: handle) }
    case .uring(let backend): backend._withUnsafeGuaranteedRef { $0.interest(in: handle) }
    }
  }

  func remove(_ handle: FDHandle) {
    switch self {
    case .epoll(let backend): backend._withUnsafeGuaranteedRef { $0.remove(handle) }
    case .uring(let backend): backend._withUnsafeGuaranteedRef { $0.remove(handle) }
    }
  }

  func forget(_ handle: FDHandle) {
    switch self {
    case .epoll(let backend): backend._withUnsafeGuaranteedRef { $0.forget(handle) }
    case .uring(let backend): backend._withUnsafeGuaranteedRef { $0.forget(handle) }
    }
  }

  func removeCause(of handle: FDHandle) -> Bool {
    switch self {
    case .epoll(let backend): backend._withUnsafeGuaranteedRef { $0.removeCause(of: handle) }
    case .uring(let backend): backend._withUnsafeGuaranteedRef { $0.removeCause(of: handle) }
    }
  }

  @inline(__always)
  func wait(timeoutNanoseconds: UInt64?) -> Int {
    switch self {
    case .epoll(let backend):
      backend._withUnsafeGuaranteedRef { $0.wait(timeoutNanoseconds: timeoutNanoseconds) }
    case .uring(let backend):
      backend._withUnsafeGuaranteedRef { $0.wait(timeoutNanoseconds: timeoutNanoseconds) }
    }
  }

  /// See `Backend.noteWouldBlock`.
  @inline(never)
  func noteWouldBlock(_ direction: Interest, of handle: FDHandle) {
    if let uring { uring.noteWouldBlock(direction, of: handle) }
  }

  func close(_ fd: Int32, mayBeHeldElsewhere: Bool) {
    switch self {
    case .epoll(let backend):
      backend._withUnsafeGuaranteedRef { $0.close(fd, mayBeHeldElsewhere: mayBeHeldElsewhere) }
    case .uring(let backend):
      backend._withUnsafeGuaranteedRef { $0.close(fd, mayBeHeldElsewhere: mayBeHeldElsewhere) }
    }
  }

  func shutDown() {
    switch self {
    case .epoll(let backend): backend._withUnsafeGuaranteedRef { $0.shutDown() }
    case .uring(let backend): backend._withUnsafeGuaranteedRef { $0.shutDown() }
    }
  }
}

// MARK: - The choice

extension KernelPoller {
  /// Which of the two, as far as it can be told before one is made.
  enum Choice {
    case epoll
    case uring(RingAbilities)

    /// - Throws: `PollerError.ioUringUnavailable`, if io_uring is asked for and cannot be had.
    init(for configuration: PollerConfiguration) throws(PollerError) {
      guard configuration.io != .epoll else {
        self = .epoll
        return
      }
      let abilities: RingAbilities
      do {
        abilities = try RingProbe.abilities(configuration.ringSetup)
      } catch {
        guard configuration.io == .automatic else { throw .ioUringUnavailable(error.reason) }
        Self.logFallback(because: error.reason, configuration.logger)
        self = .epoll
        return
      }
      let lacks = abilities.lacks
      if !lacks.isEmpty {
        configuration.logger.notice(
          "io_uring is used without something that makes it faster",
          metadata: ["lacks": "\(lacks.joined(separator: ", "))"])
      }
      self = .uring(abilities)
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
      let backend = try EpollBackend(limit: limit, wakeUp: wakeUp, logger: logger)
      self = .epoll(.passRetained(backend))
    case .uring(let abilities):
      let backend = try UringBackend(
        limit: limit, wakeUp: wakeUp, abilities: abilities, setup: configuration.ringSetup,
        logger: logger)
      self = .uring(.passRetained(backend))
    }
  }
}

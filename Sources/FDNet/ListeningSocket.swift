import CShims
import FDOwnership
import FDPoller
import Glibc
import Logging
import Synchronization
import SystemPackage

/// What the sockets of one listener have in common. Any thread.
final class ListenerShared: @unchecked Sendable {
  let settings: ConnectionSettings
  let logger: Logger
  private let core: PollerCore
  /// How many clients can be queued in the kernel.
  private let mostQueued: Int
  let makeHandler: @Sendable (Connection) -> (any ConnectionHandler)?
  let isClosed = Atomic(false)
  /// Nobody wants clients at the moment. Sequentially consistent, as is a socket's pause: each is
  /// changed before the other is looked at, so that whoever comes last goes on.
  let isHeld = Atomic(false)
  private let accepted = Atomic(0)
  private let turnedAway = Atomic(0)
  private let pauses = Atomic(0)
  /// An open descriptor that is given up to turn one client away when no other is left; negative
  /// if it is lost. Guarded by the lock.
  private var reserve = fdp_open_null()
  private let lock = PlatformLock()
  /// The reserve has been given up once, and may be lost since. Changed with the lock held.
  private let isShort = Atomic(false)

  init(
    _ core: PollerCore, mostQueued: Int, settings: ConnectionSettings,
    _ makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) {
    self.settings = settings
    self.core = core
    self.mostQueued = mostQueued
    logger = core.configuration.logger
    self.makeHandler = makeHandler
  }

  deinit {
    if reserve >= 0 { _ = fdp_close(reserve) }
  }

  var statistics: Listener.Statistics {
    Listener.Statistics(
      accepted: accepted.load(ordering: .relaxed),
      turnedAway: turnedAway.load(ordering: .acquiring),
      pauses: pauses.load(ordering: .relaxed))
  }

  /// Whether all that are queued may be accepted before the first one is served: that leaves half of
  /// the numbers for what serving them takes.
  var mayTakeAhead: Bool { core.liveDescriptors + mostQueued < core.descriptorLimit / 2 }

  func noteAccept() { accepted.add(1, ordering: .relaxed) }

  /// After the pause that it brings has been counted: there are never fewer of those.
  func noteTurnedAway() { turnedAway.add(1, ordering: .releasing) }

  /// Returns whether it is the first pause ever, which is worth a line in the log.
  func notePause() -> Bool { pauses.add(1, ordering: .relaxed).oldValue == 0 }

  /// Accepts one client with the reserve descriptor's number and closes it at once: it learns that
  /// it has to go instead of waiting in the queue for ever.
  func turnAway(_ listener: FDHandle, on loop: EventLoop) {
    lock.withLock {
      guard reserve >= 0 else { return }
      isShort.store(true, ordering: .sequentiallyConsistent)
      _ = fdp_close(reserve)
      if case .done(let client) = loop.acceptDirectly(listener) {
        _ = fdp_close(Int32(client))
        noteTurnedAway()
      }
      reserve = fdp_open_null()
    }
  }

  /// Another thread may have got the number meanwhile: tries again.
  func restoreReserve() {
    lock.withLock {
      if reserve < 0 { reserve = fdp_open_null() }
      if reserve >= 0 { isShort.store(false, ordering: .sequentiallyConsistent) }
    }
  }

  /// Makes the number of a client that was just accepted the reserve again, if the client has got
  /// it because another loop was turning one away: otherwise the reserve would be lost for as long
  /// as there are no descriptors, which is when it is needed.
  ///
  /// - Returns: whether the client is the one who was turned away.
  func takeBackReserve(from client: Int32) -> Bool {
    guard isShort.load(ordering: .sequentiallyConsistent) else { return false }
    return lock.withLock {
      guard reserve < 0 else { return false }
      _ = fdp_close(client)
      reserve = fdp_open_null()
      return true
    }
  }
}

/// One listening descriptor, on one loop or shared by those of a group.
final class ListeningSocket: DescriptorHandler, @unchecked Sendable {
  private let shared: ListenerShared
  /// The loops, by bit, that do not accept at the moment.
  private let paused = Atomic<UInt16>(0)

  private let isShared: Bool
  private let accepts = Atomic<UInt32>(0)

  // Set before the socket is disowned, read when it has left.

  /// How many clients at most are accepted then.
  var lastAccepts = 0
  var whenGone: @Sendable () -> Void = {}

  /// How many clients one event may bring: the other descriptors want their turn, and the other
  /// loops their share.
  private var acceptsPerEvent: Int { isShared ? 4 : 64 }
  /// After how many clients of a shared socket the loop that got the last one steps back.
  private static let acceptsPerTurn: UInt32 = 16
  private static let pause = Duration.milliseconds(100)

  /// - Parameter isShared: other loops have the same socket, or a copy of it.
  init(_ shared: ListenerShared, isShared: Bool) {
    self.shared = shared
    self.isShared = isShared
  }

  override func ready(
    _ readiness: Readiness, of handle: FDHandle, on loop: EventLoop
  ) {
    // A loop that pauses has passed the event on already, and looks by itself when it goes on.
    guard !isPaused(loop) else { return }
    acceptAll(handle, on: loop, bound: acceptsPerEvent)
  }

  func isPaused(_ loop: EventLoop) -> Bool {
    paused.load(ordering: .sequentiallyConsistent) & loop.bit.mask.rawValue != 0
  }

  /// Accepts what is queued, at most `bound` clients.
  func acceptAll(_ handle: FDHandle, on loop: EventLoop, bound: Int) {
    for _ in 0..<bound {
      switch loop.accept(handle, takingAhead: shared.mayTakeAhead) {
      case .done(let fd):
        if shared.takeBackReserve(from: Int32(fd)) {
          pause(handle, on: loop)
          return shared.noteTurnedAway()
        }
        shared.noteAccept()
        if isShared && accepts.add(1, ordering: .relaxed).newValue % Self.acceptsPerTurn == 0 {
          loop.letOthersGoFirst(handle)
        }
        begin(Int32(fd), on: loop)
      case .wouldBlock:
        return
      case .failed(.tooManyOpenFiles), .failed(.tooManyOpenFilesInSystem), .failed(.noBufferSpace),
        .failed(.noMemory):
        pause(handle, on: loop)
        return shared.turnAway(handle, on: loop)
      case .failed(.badFileDescriptor), .failed(.invalidArgument), .failed(.notSocket):
        // Closed behind our back, or shut down: nothing will come any more.
        return loop.stop(.read, handle)
      case .failed:
        // The client's network failed before it was accepted (accept(2), ERRORS): the next one,
        // please.
        continue
      }
    }
  }

  private func begin(_ fd: Int32, on loop: EventLoop) {
    let connection = Connection(loop: loop, settings: shared.settings, phase: .open)
    do {
      try connection.insert(fd)
    } catch {
      _ = fdp_close(fd)
      shared.noteTurnedAway()
      if error != .notRunning {
        shared.logger.error("a client is turned away", metadata: ["error": "\(error)"])
      }
      return
    }
    if let handler = shared.makeHandler(connection) {
      connection.setHandler(handler)
    } else {
      connection.abort()
    }
  }

  private func pause(_ handle: FDHandle, on loop: EventLoop) {
    if shared.notePause() {
      shared.logger.warning(
        "out of descriptors or socket memory: accepting pauses, and goes on by itself",
        metadata: ["loop": "\(loop.name)"])
    }
    paused.bitwiseOr(loop.bit.mask.rawValue, ordering: .relaxed)
    loop.stop(.read, handle)
    loop.schedule(after: Self.pause) { [self] in
      shared.restoreReserve()
      paused.bitwiseAnd(~loop.bit.mask.rawValue, ordering: .sequentiallyConsistent)
      if !shared.isHeld.load(ordering: .sequentiallyConsistent) { loop.want(.read, handle) }
    }
  }
  /// After a disown nobody waits for clients here any more. Whoever has come before that may have
  /// woken this process and not the one that listens now, and is accepted; the rest is that one's.
  override func departed(_ handle: FDHandle, _ departure: Departure) {
    if case .disowned(let descriptor) = departure {
      if let loop = EventLoop.current {
        for _ in 0..<lastAccepts {
          let client = fdp_accept(descriptor.rawValue, nil, nil)
          if client == -ECONNABORTED { continue }
          guard client >= 0 else { break }
          shared.noteAccept()
          begin(client, on: loop)
        }
      }
      _ = fdp_close(descriptor.rawValue)
    }
    whenGone()
  }
}

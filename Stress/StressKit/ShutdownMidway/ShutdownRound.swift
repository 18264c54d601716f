import CShims
import FDDelays
import FDNet
import FDOwnership
import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// One poller from its start to its stop, with connections, idle descriptors, timers and letters
/// under way.
final class ShutdownRound: @unchecked Sendable {
  private let ledgers: ShutdownLedgers
  private let poller: Poller
  private let listener: Listener
  private let isOver = Atomic<Bool>(false)
  /// The last handles that were inserted, for those who delete and steal.
  private let handles = (0..<16).map { _ in Recent() }

  private final class Recent: Sendable {
    let handle = Atomic<UInt64>(FDHandle.none.rawValue)
  }

  /// - Throws: what the poller or the listener throws; nothing is left then.
  init(_ stage: Stage, _ ledgers: ShutdownLedgers) throws {
    self.ledgers = ledgers
    poller = try stage.makePoller("round")
    do {
      try poller.start()
      listener = try Listener(.loopback(port: 0), on: poller) { _ in Conversation(ledgers) }
    } catch {
      stage.stop(poller)
      stage.dismiss(poller)
      throw error
    }
  }

  func begin() {
    for loop in poller.loops {
      post(to: loop) { round in
        for _ in 0..<4 { round.connect(on: loop) }
        round.steal(on: loop)
      }
    }
  }

  /// Stops the poller, wherever everything is, and looks that nothing goes on.
  func stop() {
    guard !isOver.exchange(true, ordering: .relaxed) else { return }
    if ledgers.operations.count % 2 == 0 { listener.close() }
    ledgers.stage.stop(poller)
    guard ledgers.stage.hanging.isEmpty else { return }
    for loop in poller.loops where loop.run({}) {
      ledgers.stage.violate("a loop that has stopped hands letters back", "\(loop)")
    }
    ledgers.stage.dismiss(poller)
  }

  // MARK: On the loops

  private func connect(on loop: EventLoop) {
    ledgers.connects.open()
    let ledgers = ledgers
    Connector.connect(
      to: listener.address, on: loop, deadline: .seconds(1), settings: ConnectionSettings()
    ) { result in
      ledgers.connects.close()
      guard case .success(let connection) = result else { return }
      connection.setHandler(Conversation(ledgers))
      withUnsafeBytes(of: UInt64(1)) { _ = connection.write($0) }
    }
  }

  /// Takes over what somebody has parked, parks it again, and comes back.
  private func steal(on loop: EventLoop) {
    for recent in handles {
      let handle = FDHandle(rawValue: recent.handle.load(ordering: .relaxed))
      if loop.takeOver(handle, wanting: .read, { _ in }) == .taken { loop.park(handle) }
    }
    loop.schedule(after: .milliseconds(1)) { [weak self] in self?.steal(on: loop) }
  }

  // MARK: On any thread

  private func post(to loop: EventLoop, _ body: @escaping @Sendable (ShutdownRound) -> Void) {
    ledgers.posts.open()
    ledgers.posted.add()
    let isTaken = loop.run { [self] in
      ledgers.posts.close()
      body(self)
    }
    guard !isTaken else { return }
    ledgers.posts.close()
    ledgers.handedBack.add()
  }

  /// Does one thing that may come too late.
  func meddle(_ random: inout SplitMix) {
    guard let loop = poller.loops.randomElement(using: &random),
      let recent = handles.randomElement(using: &random)
    else { return }
    let handle = FDHandle(rawValue: recent.handle.load(ordering: .relaxed))
    switch random.next() % 8 {
    case 0..<3: insert(on: loop, as: recent)
    case 3: poller.delete(handle)
    case 4: poller.disown(handle)
    case 5: post(to: loop) { $0.connect(on: loop) }
    default: post(to: loop) { _ in loop.park(handle) }
    }
  }

  private func insert(on loop: EventLoop, as recent: Recent) {
    var ends: [Int32] = [-1, -1]
    guard fdp_socketpair(Int32(AF_UNIX), Int32(SOCK_STREAM.rawValue), &ends) == 0 else {
      return ledgers.stage.violate("descriptors are to be had", "socketpair")
    }
    // The near end has something to tell from the first moment on.
    _ = fdp_close(ends[1])
    let handler = ShutdownDescriptor(ledgers)
    ledgers.departures.open()
    do {
      let handle = try poller.insert(
        FileDescriptor(rawValue: ends[0]), handler: handler, on: .loop(loop), options: .fresh)
      recent.handle.store(handle.rawValue, ordering: .relaxed)
    } catch {
      ledgers.departures.close()
      _ = fdp_close(ends[0])
      if error != .notRunning { ledgers.stage.violate("a stop is why an insert fails", "\(error)") }
    }
  }
}

/// The end of a pair of sockets whose other end is closed. Now and then it goes by itself.
private final class ShutdownDescriptor: DescriptorHandler, @unchecked Sendable {
  private let ledgers: ShutdownLedgers
  // Plain, so that ThreadSanitizer sees any two threads that are not kept apart.
  private var entries = 0
  private var hasDeparted = false

  init(_ ledgers: ShutdownLedgers) {
    self.ledgers = ledgers
    ledgers.objects.open()
  }

  deinit { ledgers.objects.close() }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    if hasDeparted { ledgers.stage.violate("no call after departed", "an event", handle) }
    entries += 1
    if entries % 4 == 0 { loop.delete(handle) } else { loop.stop(.read, handle) }
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) {
    if hasDeparted { ledgers.stage.violate("one departure for every insert", "two", handle) }
    hasDeparted = true
    ledgers.departures.close()
    if case .disowned(let descriptor) = departure { _ = fdp_close(descriptor.rawValue) }
  }
}

/// One end of a connection: it returns what it gets, one more each time.
private final class Conversation: ConnectionHandler {
  private let ledgers: ShutdownLedgers
  private var isClosed = false

  init(_ ledgers: ShutdownLedgers) {
    self.ledgers = ledgers
    ledgers.objects.open()
    ledgers.conversations.open()
  }

  deinit { ledgers.objects.close() }

  func received(_ bytes: RawSpan, on connection: Connection) {
    if isClosed { ledgers.stage.violate("nothing comes after closed", "bytes") }
    connection.write(bytes)
  }

  func closed(_ connection: Connection, _ reason: CloseReason) {
    if isClosed { ledgers.stage.violate("every connection is closed once", "\(reason)") }
    isClosed = true
    ledgers.conversations.close()
  }
}

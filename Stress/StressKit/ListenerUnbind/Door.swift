import CShims
import FDDelays
import FDNet
import FDPoller
import Glibc
import Synchronization
import SystemPackage

/// An address, and the listener that is there at the moment, if any. Callable from any thread.
final class Door: Sendable {
  let heartbeat: Heartbeat
  /// Which share every listener of this door.
  private let loops: [EventLoop]
  private unowned let hotel: Hotel
  private let lock = PlatformLock()

  // Under the lock.
  private nonisolated(unsafe) var doorman: Doorman?
  private nonisolated(unsafe) var handle = FDHandle.none
  private nonisolated(unsafe) var whereItIs: SocketAddress
  private nonisolated(unsafe) var openings = 0
  private nonisolated(unsafe) var isAboutToOpen = false

  /// - Parameter loops: of one group.
  init(_ index: Int, _ loops: [EventLoop], of hotel: Hotel) {
    self.loops = loops
    self.hotel = hotel
    heartbeat = hotel.stage.heartbeat("door \(index)")
    // Not 127.0.0.1, from which clients come: one could be given the port of a door that is closed,
    // and meet itself. And not another process's.
    let process = UInt32(bitPattern: getpid())
    whereItIs = SocketAddress(
      ipv4: (127, UInt8(1 + process >> 8 % 250), UInt8(process % 256), UInt8(2 + index)), port: 0)
  }

  var address: SocketAddress { lock.withLock { whereItIs } }
  var isShut: Bool { lock.withLock { doorman == nil && !isAboutToOpen } }

  // MARK: Open

  /// Opens a listener; if the address is not free yet, again in a moment.
  ///
  /// - Parameter deadline: until when it may be taken, in nanoseconds, or nil if it has to be free.
  func open(notAfter deadline: UInt64?) {
    guard hotel.stage.isStormy else { return lock.withLock { isAboutToOpen = false } }
    let refusal = lock.withLock { () -> Errno? in
      isAboutToOpen = true
      let listener = listen()
      guard case .success(let fd) = listener else {
        if case .failure(let errno) = listener { return errno }
        return nil
      }
      insert(fd)
      isAboutToOpen = false
      return nil
    }
    guard let refusal else { return }
    if let deadline, refusal == .addressInUse, EventLoop.clock() < deadline {
      // The ring of a loop that has not told the kernel yet may still hold the last listener.
      loops[0].run { [self] in open(notAfter: deadline) }
    } else {
      lock.withLock { isAboutToOpen = false }
      hotel.stage.violate("a closed address is free", "\(address): \(refusal)")
    }
  }

  private func listen() -> Result<Int32, Errno> {
    let fd = fdp_socket(whereItIs.domain, Int32(SOCK_STREAM.rawValue))
    var result = min(fd, 0)
    if result == 0 { result = fdp_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) }
    if result == 0 { result = whereItIs.withSockAddr { fdp_bind(fd, $0, $1) } }
    if result == 0 { result = fdp_listen(fd, 1_024) }
    guard result == 0 else {
      if fd >= 0 { _ = fdp_close(fd) }
      return .failure(Errno(rawValue: -result))
    }
    // The port is the kernel's choice once, and then kept.
    whereItIs = SocketAddress.reading { fdp_local_address(fd, $0, $1) } ?? whereItIs
    return .success(fd)
  }

  private func insert(_ fd: Int32) {
    openings += 1
    let newcomer = Doorman(hotel.newID(), self, of: hotel)
    do {
      handle = try hotel.poller.insert(
        FileDescriptor(rawValue: fd), handler: newcomer, on: .loops(loops),
        options: openings % 3 == 0 ? [] : .exclusive)
    } catch {
      _ = fdp_close(fd)
      return hotel.stage.violate(
        "a number that the kernel hands out is free in the table", "\(error)")
    }
    Chronicle.note("opened a listener at", handle.rawValue)
    hotel.listeners.open()
    hotel.departures.open()
    hotel.deletions.open()
    doorman = newcomer
  }

  /// The listener has left the poller: the next one, at once.
  func doormanHasDeparted() {
    lock.withLock {
      doorman = nil
      isAboutToOpen = true
    }
    open(notAfter: EventLoop.clock() + hotel.stage.parameters.patience.wholeNanoseconds)
  }

  // MARK: Close

  /// Deletes the listener in one or several ways at once.
  func storm(_ choice: UInt64) {
    guard let (doorman, handle) = present else { return }
    if choice & 1 != 0 { doorman.isToDelete.store(true, ordering: .relaxed) }
    if choice & 2 != 0 {
      for loop in loops { loop.run { doorman.delete(handle) } }
    }
    if choice & 4 != 0 { doorman.delete(handle) }
  }

  func close() {
    if let (doorman, handle) = present { doorman.delete(handle) }
  }

  private var present: (Doorman, FDHandle)? {
    lock.withLock { doorman.map { ($0, handle) } }
  }

  /// Whether clients are turned away, because nobody listens.
  var isRefusing: Bool {
    let fd = fdp_socket(Int32(AF_INET), Int32(SOCK_STREAM.rawValue))
    guard fd >= 0 else { return false }
    defer { _ = fdp_close(fd) }
    return address.withSockAddr { fdp_connect(fd, $0, $1) } == -ECONNREFUSED
      || Client.failure(of: fd) == .connectionRefused
  }
}

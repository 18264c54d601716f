import CShims
import FDNet
import FDPoller
import Glibc
import SystemPackage

/// Somebody who comes to a door, says who he is, and has to hear it back unless he is turned away.
/// On a thread that is no loop.
struct Client {
  private let id: UInt64
  private let hotel: Hotel

  init(_ id: UInt64, of hotel: Hotel) {
    self.id = id
    self.hotel = hotel
  }

  func visit(_ door: Door) {
    hotel.operations.add()
    let fd = fdp_socket(Int32(AF_INET), Int32(SOCK_STREAM.rawValue))
    guard fd >= 0 else {
      return hotel.stage.violate(
        "descriptors are to be had", "socket says \(Errno(rawValue: -fd))")
    }
    defer { _ = fdp_close(fd) }
    // Ends with a reset: otherwise the ports would be used up.
    _ = fdp_set_linger(fd, true, 0)
    let result = door.address.withSockAddr { fdp_connect(fd, $0, $1) }
    if result != 0 {
      guard result == -EINPROGRESS else { return turnedAway(Errno(rawValue: -result), door) }
      guard wait(for: POLLOUT, of: fd) else { return complain("is not connected", door) }
      if let errno = Self.failure(of: fd) { return turnedAway(errno, door) }
    }
    var message = id
    let sent = fdp_send(fd, &message, MemoryLayout<UInt64>.size, 0)
    guard sent == MemoryLayout<UInt64>.size else {
      return turnedAway(Errno(rawValue: Int32(-min(sent, 0))), door)
    }
    guard wait(for: POLLIN, of: fd) else { return complain("is not served", door) }
    var answer: UInt64 = 0
    let received = fdp_receive(fd, &answer, MemoryLayout<UInt64>.size, 0)
    if received < 0 { return turnedAway(Errno(rawValue: Int32(-received)), door) }
    // The kernel may tell a reset as the end, whoever listens. If there was an answer it is missing
    // in the ledger.
    if received == 0 { return turnedAway(.connectionReset, door) }
    guard received == MemoryLayout<UInt64>.size, answer == id else {
      return hotel.stage.violate(
        "bytes stay on their connection",
        "client \(id) of \(door.address) has got \(received) bytes, those of \(answer)")
    }
    hotel.answers.close()
    hotel.served.add()
  }

  /// Its listener has been closed.
  private func turnedAway(_ errno: Errno, _ door: Door) {
    switch errno {
    case .connectionRefused: hotel.refused.add()
    case .connectionReset, .brokenPipe: hotel.reset.add()
    default:
      hotel.stage.violate(
        "a client is served, refused or reset", "client \(id) of \(door.address): \(errno)")
    }
  }

  private func complain(_ what: String, _ door: Door) {
    hotel.stage.violate(
      "no client hangs",
      "client \(id) of \(door.address) \(what), refused or reset")
  }

  /// - Returns: false if that does not come.
  private func wait(for events: Int32, of fd: Int32) -> Bool {
    // In time that passes on a busy machine, too; the watchdog knows better.
    let limit = hotel.stage.parameters.patience * 3
    var entry = pollfd(fd: fd, events: Int16(events), revents: 0)
    return poll(&entry, 1, Int32(limit / .milliseconds(1))) != 0
  }

  /// What the connect has come to, if it has failed.
  static func failure(of fd: Int32) -> Errno? {
    var error: Int32 = 0
    _ = fdp_get_option(fd, SOL_SOCKET, SO_ERROR, &error)
    return error == 0 ? nil : Errno(rawValue: error)
  }
}

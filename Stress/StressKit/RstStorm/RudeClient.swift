import CShims
import FDDelays
import FDNet
import Glibc

/// A client that may reset its connection after any step of its life. One thread's.
final class RudeClient: @unchecked Sendable {
  private unowned let shore: Shore
  private var fd: Int32 = -1
  private var stream = IdentityStream()
  private var sentCount = 0

  init(_ shore: Shore) { self.shore = shore }

  /// One step.
  func act(_ random: inout SplitMix) {
    guard fd >= 0 else { return connect(&random) }
    shore.operations.add()
    switch random.next() % 16 {
    case 0..<7: send(1 + Int(random.next() % 64))
    // More than the socket takes.
    case 7: send(16 << 10)
    case 8..<12: _ = receive()
    case 12: _ = fdp_shutdown(fd, Int32(SHUT_WR))
    case 13: leave()
    default: reset()
    }
  }

  private func connect(_ random: inout SplitMix) {
    let fd = fdp_socket(shore.address.domain, Int32(SOCK_STREAM.rawValue))
    guard fd >= 0 else { return shore.noteRefusal(fd) }
    let result = shore.address.withSockAddr { fdp_connect(fd, $0, $1) }
    guard result == 0 || result == -EINPROGRESS else {
      _ = fdp_close(fd)
      return shore.noteRefusal(result)
    }
    self.fd = fd
    stream = IdentityStream(shore.newIdentity())
    sentCount = 0
    // Before it is accepted, too.
    if random.next() % 8 == 0 { reset() }
  }

  private func send(_ words: Int) {
    [UInt64](repeating: stream.identity, count: words + 1).withUnsafeBytes {
      // It goes on in the midst of a word if that is as far as the socket has taken them.
      let sent = fdp_send(fd, $0.baseAddress?.advanced(by: sentCount % 8), words * 8, 0)
      sentCount += max(0, sent)
    }
  }

  /// - Returns: how many bytes.
  private func receive() -> Int {
    withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 8) { buffer in
      let count = fdp_receive(fd, buffer.baseAddress.unsafelyUnwrapped, buffer.count, 0)
      guard count > 0 else { return 0 }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count]).bytes
      if let wrong = stream.firstWrong(in: bytes) {
        shore.stage.violate(
          "bytes stay on their connection", "client \(stream.identity) has got \(wrong)")
      }
      return count
    }
  }

  /// Sends a word and looks for an answer.
  ///
  /// - Returns: whether one has come.
  func asks(_ random: inout SplitMix) -> Bool {
    if fd < 0 { connect(&random) }
    guard fd >= 0 else { return false }
    send(1)
    return receive() > 0
  }

  /// Ends the connection with a reset.
  func reset() {
    guard fd >= 0 else { return }
    _ = fdp_set_linger(fd, true, 0)
    leave()
  }

  /// Closes the connection: with a reset too, if something has come that was not read.
  private func leave() {
    _ = fdp_close(fd)
    fd = -1
  }
}

import CShims
import Glibc
import SystemPackage

/// One end of the connection between a process and its successor. Its calls block, for as long as
/// they are told.
///
/// Used by one thread.
struct TakeoverChannel: ~Copyable {
  let path: String
  let socket: Int32

  /// - Parameter socket: connected, of type SOCK_SEQPACKET; is closed with the channel.
  init(_ socket: Int32, path: String) {
    self.socket = socket
    self.path = path
  }

  deinit { _ = fdp_close(socket) }

  func error(_ cause: TakeoverError.Cause) -> TakeoverError {
    TakeoverError(path: path, cause: cause)
  }

  /// The user of the process at the other end.
  func peer() throws(TakeoverError) -> (process: Int32, user: UInt32) {
    var (process, user): (Int32, UInt32) = (0, 0)
    let result = fdp_peer_credentials(socket, &process, &user)
    guard result == 0 else {
      throw error(.failed("find out who is there", Errno(rawValue: -result)))
    }
    return (process, user)
  }

  func send(
    _ message: TakeoverMessage, _ descriptors: ArraySlice<Int32> = [], until deadline: Deadline
  ) throws(TakeoverError) {
    let bytes = message.bytes
    while true {
      let sent = descriptors.withUnsafeBufferPointer {
        fdp_send_descriptors(socket, bytes, bytes.count, $0.baseAddress, $0.count)
      }
      switch sent {
      case 0...: return
      case -Int(EAGAIN): try wait(for: POLLOUT, until: deadline)
      case -Int(EPIPE), -Int(ECONNRESET): throw error(.ended)
      default: throw error(.failed("send a message", Errno(rawValue: Int32(-sent))))
      }
    }
  }

  /// - Parameter kinds: those that may come now. Descriptors come with no other than `listener`.
  /// - Returns: descriptors that are the caller's to close.
  func receive(
    _ kinds: TakeoverMessage.Kind..., until deadline: Deadline
  ) throws(TakeoverError) -> (TakeoverMessage, [Int32]) {
    var bytes = [UInt8](repeating: 0, count: TakeoverMessage.maximumByteCount)
    var descriptors = [Int32](repeating: -1, count: Int(FDP_DESCRIPTORS))
    var count = 0
    var received = -Int(EAGAIN)
    while received == -Int(EAGAIN) {
      try wait(for: POLLIN, until: deadline)
      received = fdp_receive_descriptors(socket, &bytes, bytes.count, &descriptors, &count)
    }
    descriptors.removeSubrange(count...)
    do throws(TakeoverError) {
      switch received {
      case 1...: break
      case 0, -Int(ECONNRESET): throw error(.ended)
      case -Int(EMSGSIZE): throw error(.malformed("a message is too long"))
      default: throw error(.failed("receive a message", Errno(rawValue: Int32(-received))))
      }
      let message = try read(bytes[..<received], descriptorCount: count)
      if message.kind == .refused { throw error(.refused(message.text)) }
      let isExpected = kinds.contains(message.kind) && (message.kind == .listener) == (count > 0)
      guard isExpected else {
        throw error(.malformed("a message \"\(message.kind)\" comes at the wrong time"))
      }
      return (message, descriptors)
    } catch {
      for descriptor in descriptors { _ = fdp_close(descriptor) }
      throw error
    }
  }

  private func read(
    _ bytes: ArraySlice<UInt8>, descriptorCount: Int
  ) throws(TakeoverError) -> TakeoverMessage {
    do {
      return try TakeoverMessage(reading: bytes, descriptorCount: descriptorCount)
    } catch {
      throw self.error(error.cause)
    }
  }

  private func wait(for events: Int32, until deadline: Deadline) throws(TakeoverError) {
    while true {
      let left = deadline.millisecondsLeft
      guard left > 0 else { throw error(deadline.isCancelled() ? .closed : .timedOut) }
      if fdp_poll(socket, events, min(left, 100)) > 0 { return }
    }
  }

  /// When a call gives up.
  struct Deadline {
    private let end: UInt64
    /// Asked about every 100 ms.
    let isCancelled: () -> Bool

    init(in duration: Duration, isCancelled: @escaping () -> Bool = { false }) {
      let (seconds, attoseconds) = duration.components
      end =
        fdp_monotonic_nanoseconds() + UInt64(clamping: seconds) * 1_000_000_000
        + UInt64(clamping: attoseconds / 1_000_000_000)
      self.isCancelled = isCancelled
    }

    /// 0 if it is over.
    var millisecondsLeft: Int32 {
      let now = fdp_monotonic_nanoseconds()
      return isCancelled() || now >= end ? 0 : Int32(clamping: (end - now) / 1_000_000 + 1)
    }
  }
}

import CShims
public import FDNet
import FDPoller
import Glibc
public import SystemPackage

/// What the kernel itself does about a TCP peer that has vanished (tcp(7)).
///
/// It sees less than a `Heartbeat`: the peer's kernel answers for a program that hangs. It costs
/// less too, and works with any protocol.
public struct KeepAlive: Sendable, Hashable {
  /// How long nothing may come until the kernel asks (TCP_KEEPIDLE), in whole seconds, from 1 s to
  /// 32,767 s.
  public var idle: Duration
  /// How long after a question the next one follows (TCP_KEEPINTVL), likewise.
  public var interval: Duration
  /// After so many questions without an answer the connection fails (TCP_KEEPCNT), 1 to 127.
  public var probes: Int
  /// How long what was sent may stay unacknowledged until the connection fails (TCP_USER_TIMEOUT),
  /// in whole milliseconds; nil leaves it to the kernel, which tries for 15 minutes or so.
  public var userTimeout: Duration?

  /// - Parameters:
  ///   - idle: rounded up to a second.
  ///   - interval: rounded up to a second.
  ///   - probes: 1 to 127.
  ///   - userTimeout: rounded up to a millisecond; above zero.
  public init(
    idle: Duration = .seconds(15), interval: Duration = .seconds(15), probes: Int = 2,
    userTimeout: Duration? = .seconds(45)
  ) {
    let seconds = Duration.zero...Duration.seconds(32_767)
    precondition(
      seconds ~= idle && seconds ~= interval && idle > .zero && interval > .zero,
      "the kernel counts from 1 to 32,767 seconds")
    precondition(1...127 ~= probes, "the kernel asks from 1 to 127 times")
    precondition(userTimeout ?? .seconds(1) > .zero, "a peer needs time to acknowledge")
    self.idle = idle
    self.interval = interval
    self.probes = probes
    self.userTimeout = userTimeout
  }

  private func whole(_ duration: Duration, _ unit: UInt64) -> Int32 {
    Int32(clamping: (duration.wholeNanoseconds + unit - 1) / unit)
  }

  fileprivate var options: [(level: Int32, name: Int32, value: Int32)] {
    let tcp = Int32(IPPROTO_TCP)
    let second: UInt64 = 1_000_000_000
    return [
      (SOL_SOCKET, SO_KEEPALIVE, 1),
      (tcp, TCP_KEEPIDLE, whole(idle, second)),
      (tcp, TCP_KEEPINTVL, whole(interval, second)),
      (tcp, TCP_KEEPCNT, Int32(probes)),
      (tcp, TCP_USER_TIMEOUT, userTimeout.map { whole($0, 1_000_000) } ?? 0),
    ]
  }
}

extension Connection {
  /// Has the kernel watch over the peer. Of a Unix socket, whose peer cannot vanish, nothing
  /// happens; a closed connection neither. On the loop.
  ///
  /// - Throws: what setsockopt(2) refuses.
  public func setKeepAlive(_ keepAlive: KeepAlive) throws(Errno) {
    guard let address = localAddress, address.family != .unix else { return }
    for option in keepAlive.options {
      let result = fdp_set_option(handle.fd, option.level, option.name, option.value)
      guard result == 0 else { throw Errno(rawValue: -result) }
    }
  }
}

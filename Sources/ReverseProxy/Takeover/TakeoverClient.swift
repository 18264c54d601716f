import CShims
package import FDNet
import Glibc
package import SystemPackage

/// What a new process asks of the old one. Blocks, so it is called while starting.
package enum TakeoverClient {
  /// Gets copies of the listening sockets of the process that waits at a path. It goes on accepting
  /// until `Takeover.confirm()`.
  ///
  /// - Parameter deadline: for all of it.
  /// - Throws: `TakeoverError`; nothing stays open then. `nobodyThere` says that there is no
  ///   predecessor.
  package static func take(
    path: String, within deadline: Duration = .seconds(30)
  ) throws(TakeoverError) -> Takeover {
    let until = TakeoverChannel.Deadline(in: deadline)
    let channel = try connect(path, until: until)
    let (_, user) = try channel.peer()
    guard user == geteuid() || user == 0 else { throw channel.error(.foreignOwner(user: user)) }
    try channel.send(TakeoverMessage(.hello), until: until)
    // Closes what has come, if the rest does not.
    let takeover = Takeover(channel)
    while try takeover.receiveListener(until: until) {}
    return takeover
  }

  private static func connect(
    _ path: String, until deadline: TakeoverChannel.Deadline
  ) throws(TakeoverError) -> TakeoverChannel {
    let address = try TakeoverServer.address(path)
    let socket = fdp_socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue))
    guard socket >= 0 else {
      throw TakeoverError(
        path: path, cause: .failed("make a socket", Errno(rawValue: -socket)))
    }
    let channel = TakeoverChannel(socket, path: path)
    while true {
      switch address.withSockAddr({ fdp_connect(socket, $0, $1) }) {
      case 0: return channel
      case -ENOENT, -ECONNREFUSED: throw channel.error(.nobodyThere)
      case -EAGAIN where deadline.millisecondsLeft > 0: usleep(10_000)
      case -EAGAIN: throw channel.error(.timedOut)
      case -EPROTOTYPE: throw channel.error(.malformed("another kind of socket is there"))
      case let result:
        throw channel.error(.failed("connect", Errno(rawValue: -result)))
      }
    }
  }
}

/// The sockets of a predecessor, which waits for a word of this process. Used by one thread.
///
/// Dropped without `confirm()`, it leaves the predecessor as it was. Descriptors that nobody has
/// asked for are closed with it.
package final class Takeover {
  private let channel: TakeoverChannel
  private var listeners: [(address: SocketAddress, descriptors: [FileDescriptor])] = []

  fileprivate init(_ channel: consuming TakeoverChannel) { self.channel = channel }

  deinit {
    for descriptor in listeners.flatMap(\.descriptors) { _ = fdp_close(descriptor.rawValue) }
  }

  /// - Returns: whether more may follow.
  fileprivate func receiveListener(
    until deadline: TakeoverChannel.Deadline
  ) throws(TakeoverError) -> Bool {
    let (message, numbers) = try channel.receive(.listener, .end, until: deadline)
    guard message.kind == .listener else { return false }
    let descriptors = numbers.map { FileDescriptor(rawValue: $0) }
    guard let address = try? SocketAddress(parsing: message.text) else {
      for number in numbers { _ = fdp_close(number) }
      throw channel.error(.malformed("\(message.text.debugDescription) is no address"))
    }
    if let index = listeners.firstIndex(where: { $0.address == address }) {
      listeners[index].descriptors += descriptors
    } else {
      listeners.append((address, descriptors))
    }
    return true
  }

  /// Where there are sockets that nobody has asked for yet.
  package var addresses: [SocketAddress] { listeners.map(\.address) }

  /// The sockets that listen at an address, once; none if there are none. They are the caller's from
  /// here on, and go to `Listener(adopting:)`.
  package func descriptors(for address: SocketAddress) -> [FileDescriptor] {
    guard let index = listeners.firstIndex(where: { $0.address == address }) else { return [] }
    return listeners.remove(at: index).descriptors
  }

  /// Says that this process accepts now, so that the old one stops doing so and drains; afterwards
  /// this process may wait at the path itself. Called once.
  ///
  /// - Throws: `TakeoverError` if the old process does not say that it has heard; it may go on then.
  package func confirm(within deadline: Duration = .seconds(30)) throws(TakeoverError) {
    let until = TakeoverChannel.Deadline(in: deadline)
    try channel.send(TakeoverMessage(.ready), until: until)
    _ = try channel.receive(.handedOver, until: until)
  }
}

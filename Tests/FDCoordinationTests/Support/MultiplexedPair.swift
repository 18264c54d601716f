import CShims
import FDNet
import FDPoller
import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing

@testable import FDCoordination

/// What a test's connections run over.
enum Transport: CaseIterable, Sendable {
  case tcp
  case unix

  private static let number = Atomic(0)

  /// Where a listener can listen: the kernel chooses the port; a Unix name is new each time, and no
  /// file.
  var address: SocketAddress {
    switch self {
    case .tcp: .loopback(port: 0)
    case .unix:
      try! .unix(path: "@fdmux-\(getpid())-\(Self.number.add(1, ordering: .relaxed).newValue)")
    }
  }
}

/// How a test's connections are set up.
struct PairSettings: Sendable {
  var client = MultiplexedSettings()
  var server = MultiplexedSettings()
  var connection = MultiplexedConnection.connectionSettings
  /// SO_SNDBUF and SO_RCVBUF of both ends, in bytes; the kernel doubles them.
  var socketBuffer: Int32?

  static func both(_ settings: MultiplexedSettings) -> PairSettings {
    PairSettings(client: settings, server: settings)
  }
}

extension Connection {
  /// Makes the kernel hold little.
  func shrinkBuffers(_ size: Int32?) {
    guard let size else { return }
    _ = fdp_set_option(handle.fd, SOL_SOCKET, SO_SNDBUF, size)
    _ = fdp_set_option(handle.fd, SOL_SOCKET, SO_RCVBUF, size)
  }
}

extension Listener {
  /// Listens with sockets that hold little, if asked to.
  ///
  /// A segment on the loopback interface is 64 KiB, which never fits then, and the kernel waits for
  /// timers again and again: the segments are those of a network card.
  convenience init(
    _ address: SocketAddress, on poller: Poller, socketBuffer: Int32?,
    settings: ConnectionSettings,
    makeHandler: @escaping @Sendable (Connection) -> (any ConnectionHandler)?
  ) throws {
    guard let socketBuffer, address.family != .unix else {
      try self.init(address, on: poller, settings: settings, makeHandler: makeHandler)
      return
    }
    let fd = fdp_socket(AF_INET, Int32(SOCK_STREAM.rawValue))
    _ = fdp_set_option(fd, Int32(IPPROTO_TCP), TCP_MAXSEG, 1_400)
    _ = fdp_set_option(fd, SOL_SOCKET, SO_SNDBUF, socketBuffer)
    _ = fdp_set_option(fd, SOL_SOCKET, SO_RCVBUF, socketBuffer)
    try #require(address.withSockAddr { fdp_bind(fd, $0, $1) } == 0)
    try #require(fdp_listen(fd, 16) == 0)
    try self.init(
      adopting: [FileDescriptor(rawValue: fd)], at: address, on: poller,
      sharing: .socketPerGroup, settings: settings,
      makeHandler: makeHandler)
  }
}

/// Runs the body with the two ends of a multiplexed connection, over real sockets.
func withPair(
  _ transport: Transport = .tcp, on poller: Poller, _ settings: PairSettings = PairSettings(),
  _ body: @Sendable (MultiplexedConnection, MultiplexedConnection) async throws -> Void
) async throws {
  let accepted = Guarded<MultiplexedConnection?>(nil)
  let listener = try Listener(
    transport.address, on: poller, socketBuffer: settings.socketBuffer,
    settings: settings.connection
  ) { connection in
    connection.shrinkBuffers(settings.socketBuffer)
    let server = MultiplexedConnection(connection, role: .server, settings: settings.server)
    accepted.value = server
    return server.handler
  }
  defer { listener.close() }
  let client = try await MultiplexedConnection.connect(
    to: listener.address, on: poller.loops[0], settings: settings.client,
    connectionSettings: settings.connection)
  client.core.connection.shrinkBuffers(settings.socketBuffer)
  try #require(await eventually { accepted.value != nil })
  let server = try #require(accepted.value)
  accepted.value = nil
  defer {
    client.close()
    server.close()
  }
  try await body(client, server)
}

/// Opens a stream, and takes it at the other end.
func openPair(
  _ opener: MultiplexedConnection, _ taker: MultiplexedConnection, _ opening: [UInt8] = []
) async throws -> (MultiplexedStream, MultiplexedStream) {
  let near = try opener.open(opening)
  let far = try await taker.accept()
  return (near, try #require(far))
}

/// So many bytes in which every position has its own look, in a sequence that the seed names.
func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
    var word: UInt64 = 0
    for index in 0..<count {
      if index % 8 == 0 {
        word = (UInt64(index) &+ seed &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        word ^= word >> 31
      }
      buffer[index] = UInt8(truncatingIfNeeded: word >> (index % 8 * 8))
    }
    initialized = count
  }
}

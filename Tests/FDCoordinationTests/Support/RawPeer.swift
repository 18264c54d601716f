import CShims
import FDNet
import FDPoller
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import FDCoordination

/// The other side of a multiplexed connection, played by the test: a plain blocking socket that
/// says what frames it likes. No call waits longer than 30 seconds.
final class RawPeer: @unchecked Sendable {
  let fd: Int32
  private var parser = FrameParser()
  private var frames: [Frame] = []

  init(_ fd: Int32) {
    self.fd = fd
    var limit = timeval(tv_sec: 30, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
  }

  deinit { Glibc.close(fd) }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Errno(rawValue: errno) }
      sent += count
    }
  }

  func send(_ frames: Frame...) throws { try send(frames.flatMap(\.bytes)) }

  func greet(window: Int = 1 << 20) throws {
    try send(.hello(window: UInt32(window), streams: 100))
  }

  /// The next frame; nil at the end of the stream, however it comes.
  func next() throws -> Frame? {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while frames.isEmpty {
      let count = recv(fd, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
      guard count > 0 else { throw Errno(rawValue: errno) }
      try buffer.span.bytes.extracting(first: count).withUnsafeBytes {
        try parser.parse($0.bytes, into: &frames)
      }
    }
    return frames.removeFirst()
  }

  /// Reads until a frame is one of those.
  func next(where isWanted: (Frame) -> Bool) throws -> Frame? {
    while let frame = try next() {
      if isWanted(frame) { return frame }
    }
    return nil
  }
}

extension Frame {
  var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: encodedCount) { buffer, count in
      count = encode(into: UnsafeMutableRawPointer(buffer.baseAddress.unsafelyUnwrapped))
    }
  }

  static func data(_ stream: UInt32, _ bytes: [UInt8], endsMessage: Bool = true) -> Frame {
    .data(stream: stream, bytes: bytes, range: bytes.indices, endsMessage: endsMessage)
  }
}

/// Runs the body with a multiplexed server's end and a peer that the test plays.
func withRawPeer(
  _ transport: Transport = .tcp, on poller: Poller,
  _ settings: MultiplexedSettings = MultiplexedSettings(), socketBuffer: Int32? = nil,
  connection: ConnectionSettings = MultiplexedConnection.connectionSettings,
  _ body: @Sendable (MultiplexedConnection, RawPeer) async throws -> Void
) async throws {
  let accepted = Guarded<MultiplexedConnection?>(nil)
  let listener = try Listener(transport.address, on: poller, settings: connection) {
    $0.shrinkBuffers(socketBuffer)
    let server = MultiplexedConnection($0, role: .server, settings: settings)
    accepted.value = server
    return server.handler
  }
  defer { listener.close() }
  let fd = socket(
    listener.address.domain, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
  if var socketBuffer {
    let size = socklen_t(MemoryLayout<Int32>.size)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &socketBuffer, size)
  }
  let peer = RawPeer(fd)
  let result = listener.address.withSockAddr { fdp_connect(fd, $0, $1) }
  try #require(result == 0, "errno \(-result)")
  try #require(await eventually { accepted.value != nil })
  let server = try #require(accepted.value)
  accepted.value = nil
  defer { server.close() }
  try await body(server, peer)
}

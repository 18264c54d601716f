import CShims
import FDPoller
import Glibc
import Testing

@testable import FDNet

/// A connection on a loop, and its peer.
struct Link {
  let connection: Connection
  let peer: Peer

  /// - Parameters:
  ///   - sendBuffer: of the connection's socket, in bytes; the kernel doubles it.
  ///   - receiveBuffer: of the peer's socket, likewise.
  ///   - setUp: runs on the loop, once the connection has its handler.
  init(
    _ family: Family = .ipv4, on loop: EventLoop, _ handler: Recorder,
    settings: ConnectionSettings = ConnectionSettings(), sendBuffer: Int32? = nil,
    receiveBuffer: Int32? = nil, setUp: @escaping @Sendable (Connection) -> Void = { _ in }
  ) async throws {
    let listener = try RawListener(family.address)
    defer { listener.close() }
    peer = try Peer(to: listener.address, receiveBuffer: receiveBuffer)
    let fd = try listener.accept()
    _ = fdp_set_nonblocking(fd)
    if let sendBuffer { _ = fdp_set_option(fd, SOL_SOCKET, SO_SNDBUF, sendBuffer) }
    connection = try await loop.call {
      let connection = Connection(loop: loop, settings: settings, phase: .open)
      try connection.insert(fd)
      connection.setHandler(handler)
      setUp(connection)
      return connection
    }
  }

  /// Runs the body on the connection's loop, which must not change meanwhile.
  @discardableResult
  func call<Result: Sendable>(
    _ body: @escaping @Sendable (Connection) throws -> Result
  ) async throws -> Result {
    try await connection.loop.call { [connection] in try body(connection) }
  }
}

extension Connection {
  /// Writes text.
  @discardableResult
  func write(_ text: String) -> WriteResult {
    var text = text
    return text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
  }

  @discardableResult
  func write(_ bytes: [UInt8]) -> WriteResult { bytes.withUnsafeBytes { write($0) } }
}

/// So many bytes in which every position has its own look: each eight are their number, in a
/// sequence that the seed names.
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

import FDAsync
import FDHTTP
import FDNet
import FDPoller

/// A server that is asked by HTTP whether an agent may register: a POST with the token as its body
/// and the id in the field `Tunnel-Id`. 2xx is yes, 401 and 403 are no, anything else that it does
/// not know.
struct AuthorisingURL: Authority {
  private static let mostHead = 32 << 10

  private let url: TargetURL
  private let loop: EventLoop

  init(_ url: TargetURL, on loop: EventLoop) {
    self.url = url
    self.loop = loop
  }

  func check(_ credential: Credential) async throws {
    let status = try await ask(credential)
    switch status {
    case 200...299: return
    case 401, 403: throw TokenRefused()
    default: throw Failure.runtime("\(url.text) answered with status \(status)")
    }
  }

  private func ask(_ credential: Credential) async throws -> Int {
    let request =
      Array(
        """
        POST \(url.path) HTTP/1.1\r
        Host: \(url.host)\r
        Content-Type: application/octet-stream\r
        Content-Length: \(credential.token.bytes.count)\r
        Tunnel-Id: \(credential.id)\r
        Connection: close\r
        \r

        """.utf8) + credential.token.bytes
    let connection = try await connect()
    return try await connection.run { connection in
      // The rest of the answer, and the server's close, are not waited for.
      defer { connection.abort() }
      connection.write(request)
      return try await Self.status(of: connection, url.text)
    }
  }

  /// The first of its addresses that can be connected to.
  private func connect() async throws -> AsyncConnection {
    let addresses = try await Resolver.resolve(url.address, within: .seconds(10))
    for address in addresses.dropLast() {
      if let connection = try? await Connector.connect(
        to: address, on: loop, deadline: .seconds(10))
      {
        return connection
      }
    }
    guard let last = addresses.last else { preconditionFailure("a name has an address") }
    return try await Connector.connect(to: last, on: loop, deadline: .seconds(10))
  }

  /// Of the first answer that is final; its body is nobody's concern.
  private nonisolated(nonsending) static func status(
    of connection: AsyncConnection, _ name: String
  ) async throws -> Int {
    let reader = HTTPHeadReader()
    var bytes: [UInt8] = []
    while let more = try await connection.read({ $0.withUnsafeBytes { [UInt8]($0) } }) {
      bytes += more
      while let count = try read(reader, bytes) {
        let status = Int(status(reader, bytes))
        guard 100...199 ~= status else { return status }
        bytes.removeFirst(count)
      }
      guard bytes.count <= mostHead else {
        throw Failure.runtime("\(name) answered with a head of more than \(mostHead) bytes")
      }
    }
    throw Failure.runtime("\(name) closed the connection without an answer")
  }

  private static func read(_ reader: HTTPHeadReader, _ bytes: [UInt8]) throws -> Int? {
    try reader.readResponse(bytes.span.bytes)
  }

  private static func status(_ reader: HTTPHeadReader, _ bytes: [UInt8]) -> UInt16 {
    reader.response(in: bytes.span.bytes).status.rawValue
  }
}

import FDHTTP
import FDNet
import FDPoller

/// A client and a server on one loop: requests and their answers, one after the other.
final class HTTPExchange: Repetitions {
  private let loops: Loops
  private let server: HTTPServer
  private let client = Client()

  private final class Plain: HTTPRequestHandler {
    func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
      connection.respond(.ok, "Hello, World!")
    }
  }

  init() throws {
    let loops = try Loops()
    self.loops = loops
    server = try HTTPServer(.loopback(port: 0), on: loops.poller) { Plain() }
    let (loop, client, address) = (loops.first, client, server.address)
    loops.on(loop) {
      _ = Connector.connect(to: address, on: loop, deadline: nil, settings: ConnectionSettings()) {
        guard case .success(let connection) = $0 else { preconditionFailure("\($0)") }
        connection.setHandler(client)
        client.connection = connection
      }
    }
    loops.wait(on: loop) { client.connection != nil }
  }

  func run(_ count: Int) -> Duration {
    let (loop, client) = (loops.first, client)
    return loops.on(loop) { timed { exchange(client, loop, count) } }
  }

  func end() { loops.end() }
}

@_silgen_name("workload_http")
@inline(never)
func exchange(_ client: Client, _ loop: EventLoop, _ count: Int) { client.ask(on: loop, count) }

/// Asks again when it has its answer, which comes in one piece.
final class Client: ConnectionHandler, @unchecked Sendable {
  fileprivate var connection: Connection?
  private var left = 0
  private let request = Array("GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)

  func received(_ bytes: RawSpan, on connection: Connection) {
    left -= 1
    if left > 0 { send(on: connection) }
  }

  fileprivate func ask(on loop: EventLoop, _ count: Int) {
    left = count
    if let connection { send(on: connection) }
    while left > 0 { loop.tick() }
  }

  private func send(on connection: Connection) {
    _ = request.withUnsafeBytes { connection.write($0) }
  }

  func closed(_ connection: Connection, _ reason: CloseReason) { self.connection = nil }
}

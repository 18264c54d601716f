import FDHTTP
import FDNet
import FDPoller

/// Answers every request with the same text.
final class Greeter: HTTPRequestHandler {
  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
    connection.respond(.ok, type: "text/plain", "Hello, World!")
  }

  static func server(
    at address: SocketAddress, on poller: Poller
  ) throws(ListenError) -> HTTPServer {
    try HTTPServer(address, on: poller) { Greeter() }
  }
}

extension HTTPServer: Server {
  func close() { drain() }
}

import FDHTTP
import FDNet
import FDPoller

/// Sends a POST's body back, and greets everybody else.
final class Hello: HTTPRequestHandler {
  private var isEcho = false

  func requested(_ head: borrowing HTTPRequestHead, on connection: HTTPServerConnection) {
    isEcho = head.knownMethod == .post
    if isEcho { return connection.begin(.ok, head.framing) }
    connection.respond(.ok, "hello\n")
  }

  func received(_ bytes: RawSpan, on connection: HTTPServerConnection) {
    guard isEcho else { return }
    if connection.send(bytes) == .queuedAboveWatermark { connection.pauseBody() }
  }

  func drained(_ connection: HTTPServerConnection) { connection.resumeBody() }

  func requestEnded(on connection: HTTPServerConnection) {
    if isEcho { connection.finish() }
  }
}

let poller = try Poller(PollerConfiguration(threads: 2))
try poller.start()
let text = CommandLine.arguments.dropFirst().first ?? "127.0.0.1:8080"
let server = try HTTPServer(SocketAddress(parsing: text), on: poller) { Hello() }
print("serving http://\(server.address) until the input ends")
while readLine() != nil {}
server.drain()
try poller.stop()

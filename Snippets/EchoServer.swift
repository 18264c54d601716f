import FDNet
import FDPoller

final class Echo: ConnectionHandler {
  func received(_ bytes: RawSpan, on connection: Connection) {
    if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
  }

  func drained(_ connection: Connection) { connection.resumeReading() }
}

let poller = try Poller(PollerConfiguration(threads: 2))
try poller.start()
let text = CommandLine.arguments.dropFirst().first ?? "127.0.0.1:7000"
let listener = try Listener(SocketAddress(parsing: text), on: poller) { _ in Echo() }
print("echoing on \(listener.address) until the input ends")
while readLine() != nil {}
listener.close()
try poller.stop()

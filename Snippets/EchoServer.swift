import FDNet
import FDPoller

final class Echo: ConnectionHandler {
  func received(_ bytes: RawSpan, on connection: Connection) {
    if connection.write(bytes) == .queuedAboveWatermark { connection.pauseReading() }
  }

  func drained(_ connection: Connection) { connection.resumeReading() }
}

let poller = try Poller(PollerConfiguration(threads: 1))
try poller.start()
let address = try SocketAddress(
  parsing: CommandLine.arguments.dropFirst().first ?? "127.0.0.1:7000")
let listener = try Listener(address, on: poller) { _ in Echo() }
print("echoing on \(listener.address); end the input to stop")
while readLine() != nil {}
listener.close()
try poller.stop()

import FDCoordination
import FDNet
import FDPoller
import Glibc

// A peer that a test starts in a process of its own, because it stops that process or its network:
//
//     fdpeer ADDRESS epoll|io_uring
//
// It connects, and echoes every message of every stream until the connection is over.

let arguments = CommandLine.arguments
guard arguments.count == 3, let io = IOBackend(rawValue: arguments[2]) else {
  print("usage: fdpeer ADDRESS epoll|io_uring")
  exit(2)
}
var configuration = PollerConfiguration(threads: 1)
configuration.io = io
let poller = try Poller(configuration)
try poller.start()
let connection = try await MultiplexedConnection.connect(
  to: SocketAddress(parsing: arguments[1]), on: poller.loops[0])
for try await stream in connection.streams {
  Task {
    while let message = try await stream.receive() { try await stream.send(message) }
    stream.finish()
  }
}
try poller.stop()

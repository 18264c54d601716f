import FDNet
import FDPoller
import Glibc

// A server that a test starts in a process of its own, because it runs out of descriptors there:
//
//     fdchild ADDRESS loop|group THREADS DESCRIPTORS epoll|io_uring
//
// It echoes. It says where it listens, answers each line on its standard input with what it has
// counted, and ends with the input.

final class Echo: ConnectionHandler {
  func received(_ bytes: RawSpan, on connection: Connection) { connection.write(bytes) }
}

func processorMilliseconds() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  let times = [usage.ru_utime, usage.ru_stime]
  return times.reduce(0) { $0 + Int($1.tv_sec) * 1000 + Int($1.tv_usec) / 1000 }
}

func say(_ text: String) {
  print(text)
  fflush(nil)
}

let arguments = CommandLine.arguments
guard arguments.count == 6, let threads = Int(arguments[3]), let descriptors = UInt(arguments[4]),
  let io = IOBackend(rawValue: arguments[5])
else {
  say("usage: fdchild ADDRESS loop|group THREADS DESCRIPTORS epoll|io_uring")
  exit(2)
}
var limit = rlimit(rlim_cur: descriptors, rlim_max: descriptors)
setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)

var configuration = PollerConfiguration(threads: threads)
configuration.io = io
let poller = try Poller(configuration)
try poller.start()
let listener = try Listener(
  SocketAddress(parsing: arguments[1]), on: poller,
  sharing: arguments[2] == "loop" ? .socketPerLoop : .socketPerGroup
) { _ in Echo() }
say("\(listener.address)")
while readLine() != nil {
  let statistics = listener.statistics
  let total = poller.snapshot().total
  say(
    "\(statistics.accepted) \(statistics.turnedAway) \(statistics.pauses) "
      + "\(total[.ticks]) \(processorMilliseconds())")
}
listener.close()
try poller.stop()
say("\(poller.snapshot().liveDescriptors)")

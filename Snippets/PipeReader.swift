import FDPoller
import Glibc
import SystemPackage

/// Counts what comes out of a pipe, until its writers have closed their ends.
final class Meter: DescriptorHandler, @unchecked Sendable {
  private var count = 0
  private let ended: @Sendable (Int) -> Void

  init(_ ended: @escaping @Sendable (Int) -> Void) { self.ended = ended }

  override func ready(_ readiness: Readiness, of handle: FDHandle, on loop: EventLoop) {
    var buffer: [UInt8] = Array(repeating: 0, count: 4096)
    while true {
      let result = read(handle.fd, &buffer, buffer.count)
      if result == 0 { loop.delete(handle) }
      guard result > 0 else { return }  // At the end, or empty for now.
      loop.noteProgress(of: handle)
      count += result
    }
  }

  override func departed(_ handle: FDHandle, _ departure: Departure) { ended(count) }
}

let poller = try Poller()
try poller.start()
let (output, input) = try FileDescriptor.pipe()
_ = fcntl(output.rawValue, F_SETFL, O_NONBLOCK)
try poller.insert(output, handler: Meter { print("\($0) bytes") }, options: .fresh)
try input.writeAll("through the pipe".utf8)
try input.close()
usleep(100_000)
try poller.stop()

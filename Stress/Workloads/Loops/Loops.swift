import Dispatch
import FDPoller
import Glibc

/// The loops of a workload: what it needs of them is done on their threads, while it waits.
final class Loops: Sendable {
  let poller: Poller
  var first: EventLoop { poller.loops[0] }

  init(_ count: Int = 1, io: IOBackend = .epoll) throws {
    // Two for each repetition, and some.
    _ = Poller.raiseDescriptorLimit(to: 4 * Workload.mostAtOnce)
    var configuration = PollerConfiguration(threads: count)
    configuration.io = io
    // A workload is one long tick.
    configuration.tickLimit = .seconds(1 << 20)
    poller = try Poller(configuration)
    try poller.start()
  }

  /// Calls the body on a loop's thread, and waits for it.
  func on<Result>(_ loop: EventLoop, _ body: @escaping @Sendable () -> Result) -> Result {
    let outcome = Outcome<Result>()
    let isOver = DispatchSemaphore(value: 0)
    loop.run {
      outcome.result = body()
      isOver.signal()
    }
    isOver.wait()
    guard let result = outcome.result else { preconditionFailure("the loop has signalled early") }
    return result
  }

  /// Waits until something has come about on a loop.
  func wait(on loop: EventLoop, until condition: @escaping @Sendable () -> Bool) {
    while !on(loop, condition) { usleep(200) }
  }

  func end() {
    do {
      try poller.stop()
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

/// Written before the semaphore is signalled, and read after.
private final class Outcome<Result>: @unchecked Sendable {
  var result: Result?
}

extension EventLoop {
  /// A tick that ends at once if nothing has happened. On the loop.
  func tickWithoutWaiting() {
    // What is deferred while the deferred calls run is left to do when the loop comes to its wait.
    self.defer { self.defer {} }
    tick()
  }
}

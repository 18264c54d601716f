import CShims
import Glibc

/// Runs the jobs that come for a loop when it has ended, in their order, one at a time, each on a
/// thread that passes for the loop's: what the loop's thread alone may touch is this one's then.
final class Afterlife: @unchecked Sendable {
  private let lock = PlatformLock()
  private var jobs: [LoopJob] = []
  /// There is a thread, or one is on its way.
  private var isRunning = false

  /// Callable from any thread.
  func accept(_ job: LoopJob, of loop: EventLoop) {
    let isFirst = lock.withLock {
      jobs.append(job)
      defer { isRunning = true }
      return !isRunning
    }
    if isFirst { startThread(for: loop) }
  }

  private func startThread(for loop: EventLoop) {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(loop)
    while fdp_thread_start(&thread, loop.name, { Afterlife.run($0) }, context.toOpaque()) != 0 {
      // There is no way to refuse a job, and its task must not hang: threads will end.
      usleep(10_000)
    }
    pthread_detach(thread)
  }

  private static func run(_ context: UnsafeMutableRawPointer?) {
    let loop = Unmanaged<EventLoop>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue()
    // Its mailbox closes before it ends.
    while !loop.hasEnded { usleep(100) }
    fdp_set_current_loop(Unmanaged.passUnretained(loop).toOpaque())
    while loop.afterlife.hasMore(for: loop) { loop.runLeftovers(rounds: .max) }
    fdp_set_current_loop(nil)
  }

  /// Gives the jobs to the loop's own queue, whose they are to run.
  private func hasMore(for loop: EventLoop) -> Bool {
    let batch = lock.withLock {
      let batch = jobs
      jobs = []
      isRunning = !batch.isEmpty
      return batch
    }
    for job in batch { loop.accept(job) }
    return !batch.isEmpty
  }
}

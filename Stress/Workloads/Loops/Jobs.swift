import FDPoller

/// A task that lives on a loop and gives way to others again and again.
final class Jobs: Repetitions, @unchecked Sendable {
  private let loops: Loops
  private var start: UnsafeContinuation<Void, Never>?
  private var isOver = false

  init() throws { loops = try Loops() }

  /// The task is there and waits.
  func prepare(_ count: Int) {
    let loop = loops.first
    loops.on(loop) { [self] in
      isOver = false
      Task(executorPreference: loop) {
        await withUnsafeContinuation { self.start = $0 }
        for _ in 0..<count { await Task.yield() }
        self.isOver = true
        // The tick that this is part of does not wait.
        loop.defer {}
      }
    }
    loops.wait(on: loop) { self.start != nil }
  }

  func run(_ count: Int) -> Duration {
    let loop = loops.first
    return loops.on(loop) { [self] in timed { runJobs(self, loop) } }
  }

  func end() { loops.end() }

  fileprivate func run(on loop: EventLoop) {
    start?.resume()
    start = nil
    while !isOver { loop.tick() }
  }
}

@_silgen_name("workload_job")
@inline(never)
func runJobs(_ it: Jobs, _ loop: EventLoop) { it.run(on: loop) }

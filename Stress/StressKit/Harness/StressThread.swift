import CShims
import FDDelays
import Glibc
import Synchronization

/// A thread that is no loop: it repeats its step until the storm is over.
final class StressThread: @unchecked Sendable {
  private let heartbeat: Heartbeat
  private let stage: Stage
  private var random: SplitMix
  private let step: @Sendable (inout SplitMix, Heartbeat) -> Void
  private let ended = Atomic<Bool>(false)

  init(
    _ heartbeat: Heartbeat, _ stage: Stage, _ random: SplitMix,
    _ step: @escaping @Sendable (inout SplitMix, Heartbeat) -> Void
  ) {
    self.heartbeat = heartbeat
    self.stage = stage
    self.random = random
    self.step = step
  }

  var name: String { heartbeat.name }
  var hasEnded: Bool { ended.load(ordering: .acquiring) }

  /// - Returns: false if there is no thread to be had.
  func start() -> Bool {
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let result = fdp_thread_start(
      &thread, name,
      { context in
        Unmanaged<StressThread>.fromOpaque(context.unsafelyUnwrapped).takeRetainedValue().run()
      }, context.toOpaque())
    guard result == 0 else {
      context.release()
      return false
    }
    pthread_detach(thread)
    return true
  }

  private func run() {
    while stage.isStormy {
      heartbeat.beat()
      step(&random, heartbeat)
    }
    ended.store(true, ordering: .releasing)
  }
}

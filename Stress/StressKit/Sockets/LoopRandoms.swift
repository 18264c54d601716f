import FDDelays
import FDPoller

/// A generator for each loop of a poller, and its alone.
final class LoopRandoms: @unchecked Sendable {
  private let generators: UnsafeMutablePointer<SplitMix>

  init(_ stage: Stage, of poller: Poller) {
    generators = .allocate(capacity: poller.loops.count)
    for loop in poller.loops {
      (generators + loop.index).initialize(to: stage.random(for: loop.name))
    }
  }

  deinit { generators.deallocate() }

  /// On the loop.
  func next(on loop: EventLoop) -> UInt64 { generators[loop.index].next() }
}

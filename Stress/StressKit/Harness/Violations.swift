import FDNet
import FDPoller
import Synchronization

/// What the ledgers of one run complain about. Callable from any thread.
final class Violations: Sendable {
  private static let kept = 10

  /// When the run began, in nanoseconds on CLOCK_MONOTONIC.
  let begin = EventLoop.clock()
  private let lock = PlatformLock()
  private nonisolated(unsafe) var texts: [String] = []
  private nonisolated(unsafe) var firstMoment: ContinuousClock.Instant?
  private nonisolated(unsafe) var threads: [String] = []
  private let total = Atomic<Int>(0)

  /// - Parameters:
  ///   - ledger: what must hold.
  ///   - details: how it does not.
  func add(_ ledger: String, _ details: @autoclosure () -> String) {
    let number = total.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue
    // First of all, before the others have gone on.
    let threads = number == 0 ? ThreadHistory.lines(since: begin) : nil
    guard number < Self.kept else { return }
    let text = "\(ledger): \(details())"
    lock.withLock {
      texts.append(text)
      guard let threads else { return }
      self.threads = threads
      firstMoment = .now
    }
  }

  var count: Int { total.load(ordering: .acquiring) }

  /// The first few.
  var complaints: [String] {
    let kept = lock.withLock { texts }
    return count > kept.count ? kept + ["and \(count - kept.count) more"] : kept
  }

  /// When the first was found, and what every thread had done last by then.
  var first: (moment: ContinuousClock.Instant, threads: [String])? {
    lock.withLock { firstMoment.map { ($0, threads) } }
  }
}

import FDNet
import FDPoller

/// Sleeps until the nearest time that somebody has asked for, in one task however many wait.
///
/// Who asks for a later time than the next ring costs nothing: the ring comes, and whoever answers
/// it asks anew for what is due next.
package final class AlarmClock: Timekeeper, @unchecked Sendable {
  /// No single sleep is longer: what sleeps overflow at differs from clock to clock.
  private static let longestSleep = Duration.seconds(86_400)

  private let elapsed: @Sendable () -> Duration
  private let sleep: @Sendable (Duration) async throws -> Void
  private let lock = PlatformLock()

  // Under the lock.
  private var next: Moment?
  private var sleeper: Task<Void, Never>?
  /// Tells the task that sleeps from those that have been sent away.
  private var number = 0
  private var ring: (@Sendable () -> Void)?

  package convenience init(_ clock: any Clock<Duration>) { self.init(of: clock) }

  private init<Time: Clock<Duration>>(of clock: Time) {
    let beginning = clock.now
    elapsed = { beginning.duration(to: clock.now) }
    sleep = { try await clock.sleep(until: beginning.advanced(by: $0), tolerance: nil) }
  }

  deinit { sleeper?.cancel() }

  package var now: Moment { .beginning + elapsed() }

  func pause(for duration: Duration) async throws { try await sleep(elapsed() + duration) }

  /// Says what a ring calls. Before anybody asks for one.
  package func onRing(_ ring: @escaping @Sendable () -> Void) { lock.withLock { self.ring = ring } }

  package func wake(at moment: Moment) {
    let turn: Int? = lock.withLock {
      if let next, next <= moment { return nil }
      next = moment
      number += 1
      return number
    }
    guard let turn else { return }
    // A ring that comes too early is asked for anew.
    let end = min(moment, now + Self.longestSleep) - .beginning
    let sleep = sleep
    let task = Task.detached { [weak self] in
      do { try await sleep(end) } catch { return }
      self?.fire(turn)
    }
    // Which is to be sent away: the one before, or this one if another was faster.
    let superfluous = lock.withLock {
      guard number == turn, next != nil else { return Task<Void, Never>?.some(task) }
      defer { sleeper = task }
      return sleeper
    }
    superfluous?.cancel()
  }

  private func fire(_ turn: Int) {
    let ring: (@Sendable () -> Void)? = lock.withLock {
      guard number == turn else { return nil }
      next = nil
      sleeper = nil
      return self.ring
    }
    ring?()
  }
}

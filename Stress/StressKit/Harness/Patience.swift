/// Time that passes only while the process runs: a machine that is too busy for this thread is too
/// busy for the others, too, and nobody hangs for that. One thread's, which looks at it often.
struct Patience {
  private static let longestBetweenLooks = Duration.milliseconds(50)

  private var last = ContinuousClock.now

  /// How much time has passed.
  private(set) var elapsed = Duration.zero

  /// To be called every few milliseconds.
  mutating func look() {
    let now = ContinuousClock.now
    elapsed += min(now - last, Self.longestBetweenLooks)
    last = now
  }
}

/// How long the next try waits after failures in a row: longer each time, up to a cap, and each
/// time by chance something between half and all of it, so that those who failed together do not
/// come back together.
public struct BackOff: Sendable, Equatable {
  /// The wait after the first failure.
  public var first: Duration = .milliseconds(1)
  /// How much longer each wait is than the one before.
  public var factor = 1.2
  /// The longest wait.
  public var cap: Duration = .seconds(15)

  /// 1 ms, 1.2 times as long each time, 15 s at most.
  public init() {}

  /// - Parameters:
  ///   - failures: how many there have been in a row, at least 1.
  ///   - chance: from 0 to 1; 1 is the longest.
  /// - Returns: how long to wait.
  public func delay(after failures: Int, chance: Double) -> Duration {
    var nominal = first
    // Growing step by step ends at the cap, where a power would overflow.
    for _ in 1..<max(failures, 1) where nominal < cap && factor > 1 { nominal = nominal * factor }
    return min(nominal, cap) * (0.5 + 0.5 * min(max(chance, 0), 1))
  }
}

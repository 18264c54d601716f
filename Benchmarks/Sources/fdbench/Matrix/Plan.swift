/// How much is measured.
struct Plan {
  let isQuick: Bool
  /// After one that warms up.
  var rounds = 5
  /// Of one measurement.
  let seconds: Double
  /// How often a disturbed measurement is made again.
  let repeats: Int
  /// The same, in the whole run.
  let repeatsInAll: Int
  let idleConnections: [Int]
  let idleRounds: Int
  /// Of each kind, in a round.
  let takeovers: Int

  static let quick = Plan(
    isQuick: true, seconds: 0.25, repeats: 2, repeatsInAll: 50, idleConnections: [5_000],
    idleRounds: 1,
    takeovers: 2_000)

  static let full = Plan(
    isQuick: false, seconds: 1, repeats: 3, repeatsInAll: 250,
    idleConnections: [1_000, 5_000, 9_000], idleRounds: 3,
    takeovers: 20_000)
}

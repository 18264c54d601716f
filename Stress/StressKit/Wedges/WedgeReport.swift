/// What became of a wedge.
public struct WedgeReport: Sendable {
  /// The round trips of one phase.
  public struct Phase: Sendable {
    /// Whether the wedge was there.
    public let isWedged: Bool
    /// How many exchanges began in it.
    public let exchanges: Int
    /// Half of the round trips took at most so long.
    public let median: Duration
    /// 99 of 100 took at most so long.
    public let percentile99: Duration

    /// - Parameter nanoseconds: of each round trip.
    init(isWedged: Bool, _ nanoseconds: [UInt64]) {
      self.isWedged = isWedged
      exchanges = nanoseconds.count
      let sorted = nanoseconds.sorted()
      func rank(_ share: Double) -> Duration {
        guard let last = sorted.indices.last else { return .zero }
        let index = Int((Double(sorted.count) * share).rounded(.up)) - 1
        return .nanoseconds(Int64(clamping: sorted[min(max(index, 0), last)]))
      }
      median = rank(0.5)
      percentile99 = rank(0.99)
    }
  }

  /// Somebody who was wedged, in one of the phases.
  public struct Wedged: Sendable {
    /// Who.
    public let name: String
    /// What came of it, usually the text of an error; nil if it was not ended in time.
    public let ending: String?
    /// How long that took, from when the wedge was driven in.
    public let duration: Duration
  }

  /// The name of the wedge.
  public let wedge: String
  /// What it was told.
  public let parameters: WedgeParameters
  /// Without the wedge and with it in turn.
  public let phases: [Phase]
  /// In the order of the phases.
  public let wedged: [Wedged]
  /// What is wrong, one thing a line; empty if all is well.
  public let complaints: [String]

  /// Whether all is well.
  public var isClean: Bool { complaints.isEmpty }

  /// The 99th percentile with the wedge by that without it, of each pair of phases.
  public var ratios: [Double] {
    zip(phases, phases.dropFirst()).compactMap { before, after in
      guard !before.isWedged, after.isWedged, before.percentile99 > .zero else { return nil }
      return after.percentile99 / before.percentile99
    }
  }

  /// Of the ratios; nil if there is none.
  public var medianRatio: Double? {
    let sorted = ratios.sorted()
    guard !sorted.isEmpty else { return nil }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
}

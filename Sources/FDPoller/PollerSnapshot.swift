/// The counters of a poller at one moment, each at most slightly out of date.
///
/// Once everything has come to rest they add up: `descriptorsInserted` is the sum of
/// `closesByDeleter`, `closesByLastLeaver`, `disowned`, `rawCloses` and the live descriptors.
public struct PollerSnapshot: Sendable, Equatable {
  /// One per loop, in their order.
  public let loops: [LoopSnapshot]
  /// What threads that are no loops did.
  public let outside: LoopSnapshot
  /// Descriptors that are in the poller.
  public let liveDescriptors: Int

  /// The sum over all loops and the threads outside.
  public var total: LoopSnapshot { loops.reduce(outside) { $0.merging($1) } }
}

/// The counters of one loop.
public struct LoopSnapshot: Sendable, Equatable {
  /// The name of the loop.
  public let name: String
  let values: [UInt64]

  /// What the loop has counted.
  public subscript(counter: PollerCounter) -> UInt64 { values[counter.rawValue] }

  package func merging(_ other: LoopSnapshot) -> LoopSnapshot {
    LoopSnapshot(
      name: "total",
      values: PollerCounter.allCases.map { counter in
        switch counter {
        case .longestTickNanoseconds: max(self[counter], other[counter])
        case .ringBuffersLowWater where self[.ringSubmissions] == 0: other[counter]
        case .ringBuffersLowWater where other[.ringSubmissions] == 0: self[counter]
        case .ringBuffersLowWater: min(self[counter], other[counter])
        default: self[counter] + other[counter]
        }
      })
  }
}

extension LoopSnapshot: CustomStringConvertible {
  /// `loop-0: ticks 17, sleeps 4, ...`, without the counters that are zero.
  public var description: String {
    let counted = PollerCounter.allCases.filter { self[$0] != 0 }.map { "\($0) \(self[$0])" }
    return "\(name): \(counted.isEmpty ? "nothing" : counted.joined(separator: ", "))"
  }
}

extension PollerSnapshot: CustomStringConvertible {
  /// A line for the sum, one per loop, and the number of live descriptors.
  public var description: String {
    ([total] + loops + [outside]).map(\.description).joined(separator: "\n")
      + "\nlive descriptors: \(liveDescriptors)"
  }
}

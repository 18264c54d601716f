/// How much of every thread's work happens before something: a vector clock.
struct Clock: Equatable {
  /// Threads 0 to 6 are the scenario's, 7 is the one that sets it up and checks it at the end.
  static let threads = 8

  var counts = SIMD8<UInt16>(repeating: 0)

  @inline(__always)
  mutating func join(_ other: Clock) {
    counts = pointwiseMax(counts, other.counts)
  }

  /// Whether everything that the other clock covers, this one covers too.
  @inline(__always)
  func covers(_ other: Clock) -> Bool { all(other.counts .<= counts) }
}

/// For every location, the oldest store that may still be read: what coherence and happens-before
/// leave of the modification order.
struct View: Equatable {
  static let locations = 32

  var positions = SIMD32<UInt8>(repeating: 0)

  @inline(__always)
  mutating func join(_ other: View) {
    positions = pointwiseMax(positions, other.positions)
  }
}

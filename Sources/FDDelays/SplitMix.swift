/// The generator of Steele, Lea and Flood (SplitMix64): small, and the same every time.
public struct SplitMix: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// - Parameter seed: any; the same seed gives the same numbers.
  public init(seed: UInt64) { state = seed }

  /// A generator of its own for everybody who has a name.
  ///
  /// - Parameters:
  ///   - seed: of all.
  ///   - name: of the one who asks.
  public init(seed: UInt64, name: String) {
    // FNV-1a.
    let hash = name.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    self.init(seed: seed ^ hash)
  }

  /// The next number, each as likely as any other.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

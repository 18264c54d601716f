/// How much of every thread's work happens before something: a vector clock of eight counts.
///
/// Counts are lanes of two words, 15 bits each, and not a SIMD vector: the arithmetic below is as
/// fast, and a debug build does not crawl.
struct Clock: Equatable {
  /// Threads 0 to 6 are the scenario's, 7 is the one that sets it up and checks it at the end.
  static let threads = 8
  /// The greatest count.
  static let limit = 0x7FFF

  private(set) var low: UInt64 = 0
  private(set) var high: UInt64 = 0

  @inline(__always)
  subscript(thread: Int) -> Int {
    get {
      let word = thread < 4 ? low : high
      return Int(truncatingIfNeeded: word &>> (UInt64(thread & 3) &* 16)) & 0xFFFF
    }
    set {
      let shift = UInt64(thread & 3) &* 16
      let (kept, new) = (~(0xFFFF as UInt64 &<< shift), UInt64(newValue) &<< shift)
      if thread < 4 { low = low & kept | new } else { high = high & kept | new }
    }
  }

  @inline(__always)
  mutating func join(_ other: Clock) {
    low = Lanes.greater(low, other.low, width: 16, tops: 0x8000_8000_8000_8000)
    high = Lanes.greater(high, other.high, width: 16, tops: 0x8000_8000_8000_8000)
  }
}

/// For every location, the oldest store that may still be read: what coherence and happens-before
/// leave of the modification order. Positions are lanes of four words, 7 bits each.
struct View: Equatable {
  static let locations = 32
  /// The greatest position.
  static let limit = 0x7F

  private var first: UInt64 = 0
  private var second: UInt64 = 0
  private var third: UInt64 = 0
  private var fourth: UInt64 = 0

  var words: (UInt64, UInt64, UInt64, UInt64) { (first, second, third, fourth) }

  @inline(__always)
  subscript(location: UInt8) -> Int {
    get {
      let word =
        switch location &>> 3 {
        case 0: first
        case 1: second
        case 2: third
        default: fourth
        }
      return Int(truncatingIfNeeded: word &>> (UInt64(location & 7) &* 8)) & 0xFF
    }
    set {
      let shift = UInt64(location & 7) &* 8
      let (kept, new) = (~(0xFF as UInt64 &<< shift), UInt64(newValue) &<< shift)
      switch location &>> 3 {
      case 0: first = first & kept | new
      case 1: second = second & kept | new
      case 2: third = third & kept | new
      default: fourth = fourth & kept | new
      }
    }
  }

  @inline(__always)
  private mutating func combine(_ other: View, _ change: (UInt64, UInt64) -> UInt64) {
    first = change(first, other.first)
    second = change(second, other.second)
    third = change(third, other.third)
    fourth = change(fourth, other.fourth)
  }

  @inline(__always)
  mutating func join(_ other: View) {
    combine(other) { Lanes.greater($0, $1, width: 8, tops: 0x8080_8080_8080_8080) }
  }

  /// Of each pair of positions the older one.
  @inline(__always)
  mutating func meet(_ other: View) {
    combine(other) { $0 ^ $1 ^ Lanes.greater($0, $1, width: 8, tops: 0x8080_8080_8080_8080) }
  }

  /// The positions counted from those of `base`; what is older counts as `base`.
  @inline(__always)
  func relative(to base: View) -> View {
    var relative = self
    relative.join(base)
    relative.combine(base) { $0 &- $1 }
    return relative
  }
}

private enum Lanes {
  /// Of each pair of lanes the greater one. The top bit of every lane is clear.
  @inline(__always)
  static func greater(_ a: UInt64, _ b: UInt64, width: UInt64, tops: UInt64) -> UInt64 {
    // The top bit of a lane survives the subtraction where `a` is not less.
    let notLess = ((a | tops) &- b) & tops
    let mask = notLess &- (notLess &>> (width &- 1))
    return a & mask | b & ~mask
  }
}

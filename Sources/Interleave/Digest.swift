/// A 128-bit fingerprint of a sequence of values. Two different sequences have the same one with a
/// probability of about 2^-128 per pair: an exploration of a hundred million states would merge two
/// different ones, and so miss something, about once in 10^22.
struct Digest: Hashable {
  private(set) var high: UInt64 = 0x9E37_79B9_7F4A_7C15
  private(set) var low: UInt64 = 0xC2B2_AE3D_27D4_EB4F

  @inline(__always)
  mutating func mix(_ value: UInt64) {
    high = (high ^ value) &* 0xFF51_AFD7_ED55_8CCD
    high ^= high >> 32
    low = (low &+ value &+ 0x1656_67B1_9E37_79F9) &* 0xC4CE_B9FE_1A85_EC53
    low ^= low >> 29
  }

  @inline(__always)
  mutating func mix(_ other: Digest) {
    mix(other.high)
    mix(other.low)
  }

  @inline(__always)
  mutating func mix(_ clock: Clock) {
    let words = unsafeBitCast(clock.counts, to: SIMD2<UInt64>.self)
    mix(words[0])
    mix(words[1])
  }

  @inline(__always)
  mutating func mix(_ view: View) {
    let words = unsafeBitCast(view.positions, to: SIMD4<UInt64>.self)
    mix(words[0])
    mix(words[1])
    mix(words[2])
    mix(words[3])
  }

  /// The values are fingerprints already.
  func hash(into hasher: inout Hasher) { hasher.combine(high) }
}

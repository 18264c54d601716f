/// A 128-bit fingerprint of a sequence of values. Two different sequences have the same one with a
/// probability of about 2^-128 per pair: an exploration of a hundred million states would merge two
/// different ones, and so miss something, about once in 10^22.
///
/// Two independent lanes of the mixing step of xxHash.
struct Digest: Hashable {
  private(set) var high: UInt64 = 0x9E37_79B9_7F4A_7C15
  private(set) var low: UInt64 = 0xC2B2_AE3D_27D4_EB4F

  @inline(__always)
  mutating func mix(_ value: UInt64) {
    high = high &+ value &* 0xC2B2_AE3D_27D4_EB4F
    high = (high &<< 31 | high &>> 33) &* 0x9E37_79B1_85EB_CA87
    low = low &+ value &* 0xFF51_AFD7_ED55_8CCD
    low = (low &<< 29 | low &>> 35) &* 0xC4CE_B9FE_1A85_EC53
  }

  @inline(__always)
  mutating func mix(_ other: Digest) {
    mix(other.high)
    mix(other.low)
  }

  @inline(__always)
  mutating func mix(_ clock: Clock) {
    mix(clock.low)
    mix(clock.high)
  }

  @inline(__always)
  mutating func mix(_ view: View) {
    let words = view.words
    mix(words.0)
    mix(words.1)
    mix(words.2)
    mix(words.3)
  }
}

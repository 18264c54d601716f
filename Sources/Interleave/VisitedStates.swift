/// The states that have been met: a hash table with open addressing, 16 bytes a place, between a
/// third and two thirds full.
struct VisitedStates {
  private var places: UnsafeMutableBufferPointer<Digest>
  private(set) var count = 0
  /// Marks a free place; no state has it, or one in 2^128.
  private static let free = Digest()

  init() { places = Self.makePlaces(1 << 10) }

  func deallocate() { places.deallocate() }

  private static func makePlaces(_ count: Int) -> UnsafeMutableBufferPointer<Digest> {
    let places = UnsafeMutableBufferPointer<Digest>.allocate(capacity: count)
    places.initialize(repeating: free)
    return places
  }

  /// The place of that state, or the free one where it belongs.
  @inline(__always)
  private func place(of digest: Digest) -> Int {
    let mask = places.count &- 1
    // The digest is a hash already.
    var place = Int(truncatingIfNeeded: digest.high) & mask
    while places[place] != Self.free && places[place] != digest { place = (place &+ 1) & mask }
    return place
  }

  func contains(_ digest: Digest) -> Bool { places[place(of: digest)] == digest }

  mutating func insert(_ digest: Digest) {
    let place = place(of: digest)
    guard places[place] != digest else { return }
    places[place] = digest
    count += 1
    if count * 3 > places.count * 2 { grow() }
  }

  private mutating func grow() {
    let old = places
    places = Self.makePlaces(old.count * 2)
    for digest in old where digest != Self.free { places[place(of: digest)] = digest }
    old.deallocate()
  }
}

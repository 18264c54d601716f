/// The states that have been met, each with its sleep set: a hash table with open addressing, 24
/// bytes a place, between a third and two thirds full.
struct VisitedStates {
  private struct Entry {
    var digest: Digest
    /// The actions that were not explored there.
    var sleep: UInt16
    var isUsed: Bool
  }

  private var entries: UnsafeMutableBufferPointer<Entry>
  private(set) var count = 0

  init() { entries = Self.makeEntries(1 << 10) }

  func deallocate() { entries.deallocate() }

  private static func makeEntries(_ count: Int) -> UnsafeMutableBufferPointer<Entry> {
    let entries = UnsafeMutableBufferPointer<Entry>.allocate(capacity: count)
    entries.initialize(repeating: Entry(digest: Digest(), sleep: 0, isUsed: false))
    return entries
  }

  /// The place of that state, or the free one where it belongs.
  @inline(__always)
  private func place(of digest: Digest) -> Int {
    let mask = entries.count &- 1
    // The digest is a hash already.
    var place = Int(truncatingIfNeeded: digest.high) & mask
    while entries[place].isUsed && entries[place].digest != digest { place = (place &+ 1) & mask }
    return place
  }

  /// The sleep set of a state that has been met, or nil.
  subscript(digest: Digest) -> UInt16? {
    let place = place(of: digest)
    return entries[place].isUsed ? entries[place].sleep : nil
  }

  mutating func note(_ digest: Digest, _ sleep: UInt16) {
    let place = place(of: digest)
    if !entries[place].isUsed { count += 1 }
    entries[place] = Entry(digest: digest, sleep: sleep, isUsed: true)
    if count * 3 > entries.count * 2 { grow() }
  }

  private mutating func grow() {
    let old = entries
    entries = Self.makeEntries(old.count * 2)
    for entry in old where entry.isUsed { entries[place(of: entry.digest)] = entry }
    old.deallocate()
  }
}

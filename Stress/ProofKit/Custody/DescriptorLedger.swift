import FDOwnership

/// What has happened to one descriptor number, and what of it may not have happened. Each entry
/// returns what is wrong, or nil.
///
/// Incarnations are numbered by their generation, from 0 to 7; threads from 0 to 7.
struct DescriptorLedger: Hashable {
  /// A set of incarnations or of threads.
  typealias Bits = UInt8

  /// The threads inside, for each incarnation a byte.
  private var inside: UInt64 = 0
  private var inserted: Bits = 0
  private var deleted: Bits = 0
  private var disowned: Bits = 0
  private var released: Bits = 0
  private var closed: Bits = 0
  private var letGo: Bits = 0
  private let isShared: Bool

  init(isShared: Bool) { self.isShared = isShared }

  private static func bit(_ index: Int) -> Bits { 1 << Bits(index) }
  private static func bit(_ generation: Generation) -> Bits { bit(Int(generation.rawValue)) }

  private func insiders(_ generation: Generation) -> Bits {
    Bits(truncatingIfNeeded: inside >> (generation.rawValue * 8))
  }

  // MARK: Inserting

  mutating func insert(_ generation: Generation) -> String? {
    let bit = Self.bit(generation)
    defer { inserted |= bit }
    return inserted & bit == 0 ? nil : "one incarnation is inserted twice"
  }

  // MARK: Inside

  func isEnded(_ generation: Generation) -> Bool {
    (deleted | disowned) & Self.bit(generation) != 0
  }

  /// - Parameter wasEnded: somebody had ended it before this thread asked to enter.
  mutating func enter(_ thread: Int, _ generation: Generation, wasEnded: Bool) -> String? {
    defer { inside |= UInt64(Self.bit(thread)) << (generation.rawValue * 8) }
    if inserted & Self.bit(generation) == 0 { return "a handler runs for a stale event" }
    if released & Self.bit(generation) != 0 { return "a handler runs after the close" }
    if wasEnded { return "a thread enters after the delete" }
    if !isShared && insiders(generation) & ~Self.bit(thread) != 0 {
      return "two threads are inside the handler of one owner"
    }
    return nil
  }

  mutating func leave(_ thread: Int, _ generation: Generation) {
    inside &= ~(UInt64(Self.bit(thread)) << (generation.rawValue * 8))
  }

  // MARK: Ending

  mutating func end(_ generation: Generation, disowning: Bool) -> String? {
    let bit = Self.bit(generation)
    defer { if disowning { disowned |= bit } else { deleted |= bit } }
    return (deleted | disowned) & bit == 0 ? nil : "one incarnation is ended twice"
  }

  /// The orphan deletion begins.
  mutating func release(_ generation: Generation) -> String? {
    let bit = Self.bit(generation)
    defer { released |= bit }
    if insiders(generation) != 0 { return "it is closed while somebody is inside" }
    return released & bit == 0 ? nil : "two threads run the orphan deletion"
  }

  /// The orphan deletion ends.
  mutating func depart(_ generation: Generation, as duty: Duty) {
    if duty == .close { closed |= Self.bit(generation) } else { letGo |= Self.bit(generation) }
  }

  // MARK: At the end

  /// - Parameter isLive: whether the slot holds a live incarnation; nil if neither that nor free.
  func complaint(isLive: Bool?) -> String? {
    guard let isLive else { return "the slot is neither free nor at rest" }
    if closed != deleted { return "what is deleted and what is closed differ" }
    if letGo != disowned { return "what is disowned and what is let go differ" }
    let live = (inserted & ~(closed | letGo)).nonzeroBitCount
    if live != (isLive ? 1 : 0) { return "a leak: the slot does not hold what lives" }
    return inside == 0 ? nil : "somebody is still inside"
  }
}

extension DescriptorLedger: CustomStringConvertible {
  /// Only what is the case: `inside 1: thread 0; deleted 1`.
  var description: String {
    func list(_ name: String, _ bits: Bits) -> String? {
      bits == 0
        ? nil
        : name + " "
          + (0..<8).filter { bits & Self.bit($0) != 0 }.map(String.init).joined(separator: " ")
    }
    let inside = (0..<8).map { incarnation in
      list(
        "inside \(incarnation): thread", Bits(truncatingIfNeeded: self.inside >> (incarnation * 8)))
    }
    return
      (inside + [
        list("deleted", deleted), list("disowned", disowned), list("released", released),
        list("closed", closed), list("let go", letGo),
      ]).compactMap(\.self).joined(separator: "; ")
  }
}

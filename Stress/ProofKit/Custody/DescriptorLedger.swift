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
  /// Who has taken each incarnation over last, as a set of one or none, for each a byte.
  private var heirs: UInt64 = 0
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

  /// How a thread has come inside. Somebody may have ended the incarnation before it asked.
  enum WayIn {
    case event(wasEnded: Bool)
    case takeover(wasEnded: Bool)
  }

  mutating func enter(_ thread: Int, _ generation: Generation, _ way: WayIn) -> String? {
    let place = generation.rawValue * 8
    defer { inside |= UInt64(Self.bit(thread)) << place }
    let wasEnded: Bool
    var heir = Bits(truncatingIfNeeded: heirs >> place)
    switch way {
    case .event(let ended): wasEnded = ended
    case .takeover(let ended):
      wasEnded = ended
      heir = Self.bit(thread)
      heirs = heirs & ~(0xFF << place) | UInt64(heir) << place
    }
    if inserted & Self.bit(generation) == 0 { return "a handler runs for a stale event" }
    if released & Self.bit(generation) != 0 { return "a handler runs after the close" }
    if wasEnded { return "a thread enters after the delete" }
    if !isShared && insiders(generation) & ~Self.bit(thread) != 0 {
      return "two threads are inside the handler of one owner"
    }
    if heir & ~Self.bit(thread) != 0 {
      return "two owners: a handler runs on a thread that the descriptor was taken from"
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
    if deleted & ~closed != 0 { return "a leak: it was deleted, and nobody has closed it" }
    guard let isLive else { return "the slot is neither free nor at rest" }
    if closed != deleted { return "what is deleted and what is closed differ" }
    if letGo != disowned { return "what is disowned and what is let go differ" }
    let live = (inserted & ~(closed | letGo)).nonzeroBitCount
    if live != (isLive ? 1 : 0) { return "a leak: the slot does not hold what lives" }
    return inside == 0 ? nil : "somebody is still inside"
  }
}

extension DescriptorLedger: CustomStringConvertible {
  /// `incarnation 1: thread 0 inside, deleted`.
  var description: String {
    (0..<8).filter { inserted & Self.bit($0) != 0 }.map(describe).joined(separator: "; ")
  }

  private func describe(_ incarnation: Int) -> String {
    let bit = Self.bit(incarnation)
    let inside = Bits(truncatingIfNeeded: self.inside >> (incarnation * 8))
    let heir = Bits(truncatingIfNeeded: heirs >> (incarnation * 8))
    var words = [inside == 0 ? "nobody inside" : "\(list(inside)) inside"]
    if heir != 0 { words.append("taken over by \(list(heir))") }
    if deleted & bit != 0 { words.append("deleted") }
    if disowned & bit != 0 { words.append("disowned") }
    if released & bit != 0 { words.append("orphan deletion begun") }
    if closed & bit != 0 { words.append("closed") }
    if letGo & bit != 0 { words.append("let go") }
    return "incarnation \(incarnation): " + words.joined(separator: ", ")
  }

  private func list(_ threads: Bits) -> String {
    (0..<8).filter { threads & Self.bit($0) != 0 }.map { "thread \($0)" }
      .joined(separator: " and ")
  }
}

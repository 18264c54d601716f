/// Tells an entry from its predecessors and successors under the same key. Counted up by the
/// primitive, never used twice: a late clean-up names the incarnation that it means, and finds
/// nothing when another has taken its place.
package struct Incarnation: Hashable, Comparable, Sendable {
  package let number: UInt64

  package init(number: UInt64) { self.number = number }

  package static let none = Incarnation(number: 0)

  package static func < (one: Incarnation, other: Incarnation) -> Bool {
    one.number < other.number
  }

  /// The one after this.
  package var next: Incarnation { Incarnation(number: number + 1) }
}

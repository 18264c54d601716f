import Interleave
import Testing

/// Two to four threads, two or three words: the tests that memory models are compared by. Names and
/// verdicts are those of Alglave, Maranget and Tautschnig ("Herding cats", 2014) and of Batty and
/// others ("Mathematizing C++ concurrency", 2011), for release and acquire as C++20 has them.
@Suite("Litmus tests")
struct LitmusTests {
  @Test("store buffering", arguments: Litmus.storeBuffering, MemoryModel.allCases)
  func storeBuffering(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }

  @Test("message passing", arguments: Litmus.messagePassing, MemoryModel.allCases)
  func messagePassing(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }

  @Test("coherence", arguments: Litmus.coherence, MemoryModel.allCases)
  func coherence(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }

  @Test("total store order", arguments: Litmus.totalStoreOrder, MemoryModel.allCases)
  func totalStoreOrder(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }
}

extension Litmus {
  static let storeBuffering = [
    Litmus(
      "SB relaxed", [[w(x, 1, .relaxed), r(y, .relaxed)], [w(y, 1, .relaxed), r(x, .relaxed)]],
      [0, 0], allowed: weak),
    Litmus(
      "SB release-acquire",
      [[w(x, 1, .releasing), r(y, .acquiring)], [w(y, 1, .releasing), r(x, .acquiring)]],
      [0, 0], allowed: weak),
    Litmus(
      "SB with read-modify-writes for stores, which drain a store buffer and are no fences",
      [
        [u(x, 1, .acquiringAndReleasing), r(y, .acquiring)],
        [u(y, 1, .acquiringAndReleasing), r(x, .acquiring)],
      ], [0, 0, 0, 0], allowed: onlyC11),
    Litmus(
      "SB with sequentially consistent stores alone",
      [[w(x, 1, .sc), r(y, .acquiring)], [w(y, 1, .sc), r(x, .acquiring)]], [0, 0],
      allowed: onlyC11),
    Litmus(
      "SB with sequentially consistent loads alone",
      [[w(x, 1, .releasing), r(y, .sc)], [w(y, 1, .releasing), r(x, .sc)]], [0, 0],
      allowed: weak),
    Litmus(
      "SB sequentially consistent", [[w(x, 1, .sc), r(y, .sc)], [w(y, 1, .sc), r(x, .sc)]],
      [0, 0], allowed: none),
    Litmus(
      "R release-acquire",
      [[w(x, 1, .releasing), w(y, 1, .releasing)], [w(y, 2, .releasing), r(x, .acquiring)]],
      [0, 1, 2], allowed: weak),
    Litmus(
      "R sequentially consistent", [[w(x, 1, .sc), w(y, 1, .sc)], [w(y, 2, .sc), r(x, .sc)]],
      [0, 1, 2], allowed: none),
    Litmus(
      "RWC release-acquire",
      [
        [w(x, 1, .releasing)], [r(x, .acquiring), r(y, .acquiring)],
        [w(y, 1, .releasing), r(x, .acquiring)],
      ], [1, 0, 0], allowed: weak),
    Litmus(
      "RWC sequentially consistent",
      [[w(x, 1, .sc)], [r(x, .sc), r(y, .sc)], [w(y, 1, .sc), r(x, .sc)]], [1, 0, 0],
      allowed: none),
  ]

  static let messagePassing = [
    Litmus(
      "MP relaxed", [[w(x, 1, .relaxed), w(y, 1, .relaxed)], [r(y, .relaxed), r(x, .relaxed)]],
      [1, 0], allowed: onlyC11),
    Litmus(
      "MP release-acquire",
      [[w(x, 1, .relaxed), w(y, 1, .releasing)], [r(y, .acquiring), r(x, .relaxed)]], [1, 0],
      allowed: none),
    Litmus(
      "MP with no acquire",
      [[w(x, 1, .relaxed), w(y, 1, .releasing)], [r(y, .relaxed), r(x, .relaxed)]], [1, 0],
      allowed: onlyC11),
    Litmus(
      "MP with no release",
      [[w(x, 1, .relaxed), w(y, 1, .relaxed)], [r(y, .acquiring), r(x, .relaxed)]], [1, 0],
      allowed: onlyC11),
    Litmus(
      "MP release-acquire, and another store to the data comes before",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [w(x, 2, .relaxed)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [1, 2, 1], allowed: none),
    Litmus(
      "S relaxed", [[w(x, 2, .relaxed), w(y, 1, .relaxed)], [r(y, .relaxed), w(x, 1, .relaxed)]],
      [1, 2], allowed: onlyC11),
    Litmus(
      "S release-acquire",
      [[w(x, 2, .relaxed), w(y, 1, .releasing)], [r(y, .acquiring), w(x, 1, .relaxed)]], [1, 2],
      allowed: none),
    Litmus(
      "2+2W relaxed",
      [[w(x, 1, .relaxed), w(y, 2, .relaxed)], [w(y, 1, .relaxed), w(x, 2, .relaxed)]], [1, 1],
      allowed: onlyC11),
    Litmus(
      "2+2W release",
      [[w(x, 1, .releasing), w(y, 2, .releasing)], [w(y, 1, .releasing), w(x, 2, .releasing)]],
      [1, 1], allowed: onlyC11),
    Litmus(
      "2+2W sequentially consistent",
      [[w(x, 1, .sc), w(y, 2, .sc)], [w(y, 1, .sc), w(x, 2, .sc)]], [1, 1], allowed: none),
    Litmus(
      "WRC relaxed",
      [
        [w(x, 1, .relaxed)], [r(x, .relaxed), w(y, 1, .relaxed)],
        [r(y, .relaxed), r(x, .relaxed)],
      ], [1, 1, 0], allowed: onlyC11),
    Litmus(
      "WRC release-acquire",
      [
        [w(x, 1, .releasing)], [r(x, .acquiring), w(y, 1, .releasing)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [1, 1, 0], allowed: none),
    Litmus(
      "ISA2 relaxed",
      [
        [w(x, 1, .relaxed), w(y, 1, .relaxed)], [r(y, .relaxed), w(z, 1, .relaxed)],
        [r(z, .relaxed), r(x, .relaxed)],
      ], [1, 1, 0], allowed: onlyC11),
    Litmus(
      "ISA2 release-acquire",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [r(y, .acquiring), w(z, 1, .releasing)],
        [r(z, .acquiring), r(x, .relaxed)],
      ], [1, 1, 0], allowed: none),
    Litmus(
      "IRIW relaxed",
      [
        [w(x, 1, .relaxed)], [w(y, 1, .relaxed)], [r(x, .relaxed), r(y, .relaxed)],
        [r(y, .relaxed), r(x, .relaxed)],
      ], [1, 0, 1, 0], allowed: onlyC11),
    Litmus(
      "IRIW release-acquire",
      [
        [w(x, 1, .releasing)], [w(y, 1, .releasing)], [r(x, .acquiring), r(y, .acquiring)],
        [r(y, .acquiring), r(x, .acquiring)],
      ], [1, 0, 1, 0], allowed: onlyC11),
    Litmus(
      "IRIW sequentially consistent",
      [
        [w(x, 1, .sc)], [w(y, 1, .sc)], [r(x, .sc), r(y, .sc)], [r(y, .sc), r(x, .sc)],
      ], [1, 0, 1, 0], allowed: none),
  ]

  /// One word: no model lets anybody go back in its modification order.
  static let coherence = [
    Litmus(
      "CoRR", [[w(x, 1, .relaxed)], [r(x, .relaxed), r(x, .relaxed)]], [1, 0], allowed: none),
    Litmus(
      "CoRR of two stores",
      [
        [w(x, 1, .relaxed), w(x, 2, .relaxed)],
        [r(x, .relaxed), r(x, .relaxed)],
      ], [2, 1], allowed: none),
    Litmus(
      "CoRR2: two readers disagree",
      [
        [w(x, 1, .relaxed)], [w(x, 2, .relaxed)], [r(x, .relaxed), r(x, .relaxed)],
        [r(x, .relaxed), r(x, .relaxed)],
      ], [1, 2, 2, 1], allowed: none),
    Litmus(
      "CoWR: a load behind a store", [[w(x, 1, .relaxed), r(x, .relaxed)], [w(x, 2, .relaxed)]],
      [0], allowed: none),
    Litmus(
      "CoWR: what came before one's own store",
      [[w(x, 1, .relaxed), r(x, .relaxed)], [w(x, 2, .relaxed)]], [2, 1], allowed: none),
    Litmus("CoRW1", [[r(x, .relaxed), w(x, 1, .relaxed)]], [1], allowed: none),
    Litmus(
      "CoRW2", [[r(x, .relaxed), w(x, 1, .relaxed)], [w(x, 2, .relaxed)]], [2, 2],
      allowed: none),
    Litmus("CoWW", [[w(x, 1, .relaxed), w(x, 2, .relaxed)]], [1], allowed: none),
    Litmus(
      "two read-modify-writes of one value", [[u(x, 1, .relaxed)], [u(x, 2, .relaxed)]], [0, 0],
      allowed: none),
    Litmus(
      "a store between the halves of a read-modify-write",
      [[u(x, 1, .relaxed), r(x, .relaxed)], [w(x, 2, .relaxed)]], [0, 2, 1], allowed: none),
  ]

  /// Examples of Sewell and others ("x86-TSO", 2010) that the tests above do not cover.
  static let totalStoreOrder = [
    Litmus(
      "n4b", [[r(x, .relaxed), w(x, 1, .relaxed)], [r(x, .relaxed), w(x, 2, .relaxed)]], [2, 1],
      allowed: none),
    Litmus(
      "n5", [[w(x, 1, .relaxed), r(x, .relaxed)], [w(x, 2, .relaxed), r(x, .relaxed)]], [2, 1],
      allowed: none),
    Litmus(
      "n6",
      [
        [w(x, 1, .relaxed), r(x, .relaxed), r(y, .relaxed)],
        [w(y, 2, .relaxed), w(x, 2, .relaxed)],
      ], [1, 0, 1], allowed: weak),
    Litmus(
      "iwp2.4: a store is seen early by its own thread",
      [
        [w(x, 1, .relaxed), r(x, .relaxed), r(y, .relaxed)],
        [w(y, 1, .relaxed), r(y, .relaxed), r(x, .relaxed)],
      ], [1, 0, 1, 0], allowed: weak),
    Litmus(
      "amd10: the same with read-modify-writes",
      [
        [u(x, 1, .relaxed), r(x, .relaxed), r(y, .relaxed)],
        [u(y, 1, .relaxed), r(y, .relaxed), r(x, .relaxed)],
      ], [0, 1, 0, 0, 1, 0], allowed: onlyC11),
  ]
}

import Interleave
import Testing

/// What only C11 has: release sequences, sequentially consistent operations among weaker ones, and
/// loads that read from the future, which the explorer does not have.
@Suite("Litmus tests of C11")
struct C11LitmusTests {
  @Test("release sequences", arguments: Litmus.releaseSequences, MemoryModel.allCases)
  func releaseSequences(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }

  @Test(
    "sequentially consistent operations", arguments: Litmus.sequentialConsistency,
    MemoryModel.allCases)
  func sequentialConsistency(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }

  @Test(
    "load buffering is not produced, as the documentation says", arguments: Litmus.loadBuffering,
    MemoryModel.allCases)
  func loadBuffering(_ litmus: Litmus, _ model: MemoryModel) { litmus.check(model) }

  @Test("values out of thin air are not produced", arguments: MemoryModel.allCases)
  func thinAir(_ model: MemoryModel) {
    let found = Found()
    let report = Explorer.explore(.init(model: model)) { setup in
      let (x, y) = (Word(), Word())
      setup.thread("one") { y.word.store(x.word.load(.relaxed), .relaxed) }
      setup.thread("two") { x.word.store(y.word.load(.relaxed), .relaxed) }
      setup.finally { found.outcomes.insert([x.word.load(.relaxed), y.word.load(.relaxed)]) }
    }
    #expect(report.isProved)
    #expect(found.outcomes == [[0, 0]])
  }
}

extension Litmus {
  static let releaseSequences = [
    Litmus(
      "a read-modify-write of another thread continues a release sequence",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [u(y, 2, .relaxed)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [1, 2, 0], allowed: none),
    Litmus(
      "two of them continue it",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [u(y, 2, .relaxed)], [u(y, 3, .relaxed)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [1, 2, 3, 0], allowed: none),
    Litmus(
      "the thread of the read-modify-write has not acquired",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [u(y, 2, .relaxed), r(x, .relaxed)],
      ], [1, 0], allowed: onlyC11),
    Litmus(
      "a plain store of another thread breaks a release sequence",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [r(y, .relaxed), w(y, 2, .relaxed)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [1, 2, 0], allowed: onlyC11),
    Litmus(
      "so does, since C++20, a plain store of the releasing thread",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing), w(y, 2, .relaxed)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [2, 0], allowed: onlyC11),
    Litmus(
      "a read-modify-write behind a plain store continues nothing",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing), w(y, 2, .relaxed)], [u(y, 3, .relaxed)],
        [r(y, .acquiring), r(x, .relaxed)],
      ], [2, 3, 0], allowed: onlyC11),
    Litmus(
      "a releasing read-modify-write hands on both histories",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [w(z, 1, .relaxed), u(y, 2, .releasing)],
        [r(y, .acquiring), r(x, .relaxed), r(z, .relaxed)],
      ], [1, 2, 0], allowed: none),
    Litmus(
      "a failed compare-and-swap acquires nothing",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)],
        [.compareExchange(y, 5, 6, .sequentiallyConsistent), r(x, .relaxed)],
      ], [1, 0], allowed: onlyC11),
  ]

  static let sequentialConsistency = [
    Litmus(
      "MP of sequentially consistent data by a relaxed flag",
      [[w(x, 1, .sc), w(y, 1, .relaxed)], [r(y, .relaxed), r(x, .sc)]], [1, 0],
      allowed: onlyC11),
    Litmus(
      "MP of relaxed data by a sequentially consistent flag",
      [[w(x, 1, .relaxed), w(y, 1, .sc)], [r(y, .sc), r(x, .relaxed)]], [1, 0], allowed: none),
    // Lahav and others ("Repairing sequential consistency in C/C++11", 2017): C++11 forbade it, the
    // processors and C++20 allow it.
    Litmus(
      "Z6.U",
      [
        [w(x, 1, .sc), w(y, 1, .releasing)], [u(y, 2, .acquiring), r(y, .relaxed)],
        [w(y, 3, .sc), r(x, .sc)],
      ], [1, 3, 0], allowed: onlyC11),
    Litmus(
      "W+RWC: a release-acquire edge between sequentially consistent operations counts",
      [
        [w(x, 1, .sc), w(y, 1, .releasing)], [r(y, .acquiring), r(z, .sc)],
        [w(z, 1, .sc), r(x, .sc)],
      ], [1, 0, 0], allowed: none),
    Litmus(
      "W+RWC: from a relaxed store it does not",
      [
        [w(x, 1, .relaxed), w(y, 1, .releasing)], [r(y, .acquiring), r(z, .sc)],
        [w(z, 1, .sc), r(x, .sc)],
      ], [1, 0, 0], allowed: onlyC11),
    Litmus(
      "W+RWC sequentially consistent",
      [
        [w(x, 1, .sc), w(y, 1, .sc)], [r(y, .sc), r(z, .sc)], [w(z, 1, .sc), r(x, .sc)],
      ], [1, 0, 0], allowed: none),
    // Allowed by C++11, which had no order between a load and a weaker store.
    Litmus(
      "IRIW with sequentially consistent loads alone",
      [
        [w(x, 1, .relaxed)], [w(y, 1, .relaxed)], [r(x, .sc), r(y, .sc)],
        [r(y, .sc), r(x, .sc)],
      ], [1, 0, 1, 0], allowed: none),
    Litmus(
      "IRIW with sequentially consistent stores alone",
      [
        [w(x, 1, .sc)], [w(y, 1, .sc)], [r(x, .acquiring), r(y, .acquiring)],
        [r(y, .acquiring), r(x, .acquiring)],
      ], [1, 0, 1, 0], allowed: onlyC11),
    Litmus(
      "SB with sequentially consistent read-modify-writes for stores",
      [[u(x, 1, .sc), r(y, .sc)], [u(y, 1, .sc), r(x, .sc)]], [0, 0, 0, 0], allowed: none),
  ]

  /// C11 allows the first; no processor does the second, but C11 cannot say why not.
  static let loadBuffering = [
    Litmus(
      "LB relaxed", [[r(x, .relaxed), w(y, 1, .relaxed)], [r(y, .relaxed), w(x, 1, .relaxed)]],
      [1, 1], allowed: none),
    Litmus(
      "LB release-acquire, which C11 forbids",
      [[r(x, .acquiring), w(y, 1, .releasing)], [r(y, .acquiring), w(x, 1, .releasing)]],
      [1, 1], allowed: none),
  ]
}

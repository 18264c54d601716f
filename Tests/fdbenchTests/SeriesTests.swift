import Testing

@testable import fdbench

struct SeriesTests {
  @Test func `the median of an even number of values is the mean of the two in the middle`() {
    #expect(Series([4, 1, 3, 2])?.median == 2.5)
    #expect(Series([9, 1, 3])?.median == 3)
    #expect(Series([]) == nil)
  }

  @Test func `a ratio is taken round by round`() throws {
    let ours = try #require(Series([2, 6, 8]))
    let peer = try #require(Series([1, 2, 8]))
    let ratio = try #require(ours.divided(by: peer))
    #expect(ratio.values == [2, 3, 1])
    #expect((ratio.minimum, ratio.median, ratio.maximum) == (1, 2, 3))
  }

  @Test func `numbers are rounded, padded and grouped`() {
    #expect(decimal(0.0449, 2) == "0.04")
    #expect(decimal(12.345, 1) == "12.3")
    #expect(decimal(-0.001, 2) == "0.00")
    #expect(decimal(-1.5, 2) == "-1.50")
    #expect(decimal(.nan, 2) == "-")
    #expect(grouped(1_234_567.4) == "1,234,567")
    #expect(grouped(999) == "999")
    #expect(grouped(-1_000) == "-1,000")
  }
}

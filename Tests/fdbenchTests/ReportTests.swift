import Testing

@testable import fdbench

struct ReportTests {
  @Test func `the columns of a table are aligned, numbers to the right`() {
    var table = Table(["what", "n"])
    table.add(["a", "1,000"])
    #expect(
      table.text == """
        | what |     n |
        |------|------:|
        | a    | 1,000 |

        """)
  }

  @Test func `text in a drawing is escaped, and every element is closed`() {
    var drawing = SVG(width: 10, height: 20)
    drawing.text("a < b & \"c\"", x: 1, y: 2.25)
    #expect(drawing.source.contains(">a &lt; b &amp; &quot;c&quot;</text>"))
    #expect(drawing.source.contains("y=\"2.3\""))
    #expect(drawing.source.hasSuffix("</svg>\n"))
  }

  @Test func `an axis ends at a round number that holds the values`() {
    #expect(LineChart.roundEnd(4.1) == 5)
    #expect(LineChart.roundEnd(130) == 150)
    #expect(LineChart.roundEnd(10) == 10)
    #expect(LineChart.roundEnd(0) == 1)
  }

  @Test func `every target names a measurement of a full run and of a quick one`() {
    for plan in [Plan.quick, Plan.full] {
      let comparisons = Matrix.comparisons(plan) + Growth.comparisons(plan)
      for target in Target.all {
        guard case .ratio(let id, let ours, let peer) = target.figure else { continue }
        let names = comparisons.first { $0.id == id }?.contenders.map(\.id) ?? []
        #expect(names.contains(ours) && names.contains(peer), "\(id): \(ours) over \(peer)")
      }
    }
  }

  @Test func `a measurement is named once, and so is each of its contenders`() {
    for plan in [Plan.quick, Plan.full] {
      let comparisons = Matrix.comparisons(plan) + Growth.comparisons(plan)
      #expect(Set(comparisons.map(\.id)).count == comparisons.count)
      for comparison in comparisons {
        let names = comparison.contenders.map(\.id)
        #expect(Set(names).count == names.count, "\(comparison.id)")
      }
    }
  }
}

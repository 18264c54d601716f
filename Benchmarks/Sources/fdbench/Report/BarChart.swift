/// Ratios as bars, each with the range of its rounds and its target.
struct BarChart {
  struct Bar {
    let label: String
    let value: Series
    let limit: Double
  }

  let title: String
  let subtitle: String
  let bars: [Bar]

  var svg: String {
    let (left, right, top, row) = (330.0, 70.0, 84.0, 30.0)
    let width = 880.0
    let bottom = top + Double(bars.count) * row
    var drawing = SVG(width: width, height: bottom + 44)
    let most = bars.map { max($0.value.maximum, $0.limit) }.max() ?? 1
    let end = max(1.2, (most * 5).rounded(.up) / 5)
    let scale = (width - left - right) / end
    drawing.text(title, x: 20, y: 28, size: 17, isBold: true)
    drawing.text(subtitle, x: 20, y: 50, size: 12, fill: "#666666")
    for step in 0...Int((end / 0.2).rounded()) {
      let value = Double(step) * 0.2
      let x = left + value * scale
      let isOne = step == 5
      drawing.line(
        x, top - 8, x, bottom, stroke: isOne ? "#333333" : "#e3e3e3", width: isOne ? 1.5 : 1)
      drawing.text(
        decimal(value, 1), x: x, y: bottom + 18, anchor: .middle, size: 11, fill: "#666666")
    }
    drawing.text("1.0 is the peer", x: left + scale, y: top - 14, anchor: .middle, size: 11)
    for (index, bar) in bars.enumerated() {
      let y = top + Double(index) * row
      let middle = y + row / 2 - 2
      let median = bar.value.median
      drawing.text(bar.label, x: left - 12, y: middle + 4, anchor: .end)
      drawing.rectangle(
        x: left, y: y + 4, width: median * scale, height: row - 12,
        fill: median <= bar.limit ? "#2f7fb8" : "#d9822b")
      drawing.line(
        left + bar.value.minimum * scale, middle, left + bar.value.maximum * scale, middle,
        stroke: "#12344d", width: 2)
      let target = left + bar.limit * scale
      drawing.line(target, y + 1, target, y + row - 5, stroke: "#b3261e", width: 2)
      drawing.text(
        decimal(median, 2), x: max(left + bar.value.maximum * scale, target) + 8, y: middle + 4,
        isBold: true)
    }
    drawing.text(
      "Bars: medians; dark lines: smallest to largest round; red: the target, reached in blue and "
        + "missed in orange.", x: 20, y: bottom + 38, size: 11, fill: "#666666")
    return drawing.source
  }
}

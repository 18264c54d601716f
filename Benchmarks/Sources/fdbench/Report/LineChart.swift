#if canImport(Glibc)
  import Glibc
#endif

/// Curves over a logarithmic axis, from nothing upwards.
struct LineChart {
  struct Curve {
    let label: String
    let points: [(x: Double, y: Series)]
  }

  let title: String
  let xLabel: String
  let yLabel: String
  let curves: [Curve]

  private static let colors = ["#2f7fb8", "#d9822b", "#4c9a52", "#8e5ea2", "#8a8a8a", "#b3261e"]

  var svg: String {
    let (width, left, right, top, height) = (760.0, 64.0, 24.0, 56.0, 280.0)
    let legend = 20.0 * Double(curves.count)
    let bottom = top + height
    var drawing = SVG(width: width, height: bottom + 60 + legend)
    drawing.text(title, x: 20, y: 26, size: 16, isBold: true)
    let points = curves.flatMap(\.points)
    let xs = points.map(\.x).sorted()
    let first = log2(max(1, xs.first ?? 1))
    let last = max(first + 1, log2(max(1, xs.last ?? 2)))
    let most = Self.roundEnd(points.map(\.y.maximum).max() ?? 1)
    func place(_ x: Double, _ y: Double) -> (Double, Double) {
      (
        left + (log2(max(1, x)) - first) / (last - first) * (width - left - right),
        bottom - y / most * height
      )
    }
    for step in 0...5 {
      let value = most * Double(step) / 5
      let y = place(1, value).1
      drawing.line(left, y, width - right, y, stroke: "#e3e3e3")
      drawing.text(
        decimal(value, most < 5 ? 1 : 0), x: left - 8, y: y + 4, anchor: .end, size: 11,
        fill: "#666666")
    }
    drawing.text(yLabel, x: 20, y: top - 12, size: 11, fill: "#666666")
    var ticks: [Double] = []
    for x in xs where ticks.last.map({ place(x, 0).0 - place($0, 0).0 > 36 }) ?? true {
      ticks.append(x)
      let at = place(x, 0).0
      drawing.line(at, bottom, at, bottom + 5, stroke: "#666666")
      drawing.text(
        grouped(x), x: at, y: bottom + 18, anchor: .middle, size: 11, fill: "#666666")
    }
    drawing.text(
      xLabel, x: (left + width - right) / 2, y: bottom + 36, anchor: .middle, size: 12)
    for (index, curve) in curves.enumerated() {
      let color = Self.colors[index % Self.colors.count]
      drawing.path(through: curve.points.map { place($0.x, $0.y.median) }, stroke: color)
      for point in curve.points {
        let (x, low) = place(point.x, point.y.minimum)
        let (_, high) = place(point.x, point.y.maximum)
        drawing.line(x, low, x, high, stroke: color)
        drawing.dot(x, place(point.x, point.y.median).1, fill: color)
      }
      let y = bottom + 58 + 20 * Double(index)
      drawing.line(left, y - 4, left + 24, y - 4, stroke: color, width: 3)
      drawing.text(curve.label, x: left + 32, y: y)
    }
    return drawing.source
  }

  /// The next of 1, 2, 5, 10, ... and their likes that holds the value.
  static func roundEnd(_ value: Double) -> Double {
    guard value > 0 else { return 1 }
    let power = pow(10, floor(log10(value)))
    return power * ([1, 1.5, 2, 3, 4, 5, 6, 8, 10].first { $0 * power >= value } ?? 10)
  }
}

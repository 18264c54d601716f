// What can be drawn of a report.

extension Report {
  /// Ours over its peers; nil if nothing of it was measured.
  var ratioChart: String? {
    let bars = Target.all.compactMap { target -> BarChart.Bar? in
      if case .bytes = target.figure { return nil }
      guard let reached = target.reached(results) else { return nil }
      return BarChart.Bar(
        label: "\(target.work) / \(target.against)", value: reached, limit: target.limit)
    }
    guard !bars.isEmpty else { return nil }
    return BarChart(
      title: "CPU time per request, as a share of the peer's",
      subtitle: "server and client on one core, 64 connections; takeover: time, not CPU",
      bars: bars
    ).svg
  }

  func curves(of result: ComparisonResult) -> String? {
    guard let axis = result.comparison.axis else { return nil }
    var curves: [LineChart.Curve] = []
    var labels: [String] = []
    for outcome in result.outcomes where !labels.contains(outcome.contender.subject.label) {
      labels.append(outcome.contender.subject.label)
    }
    for label in labels {
      let points = result.outcomes.filter { $0.contender.subject.label == label }
        .compactMap { outcome -> (x: Double, y: Series)? in
          guard let x = outcome.contender.x, let y = outcome.series(.cpu) else { return nil }
          return (x, y)
        }
      if !points.isEmpty { curves.append(LineChart.Curve(label: label, points: points)) }
    }
    guard !curves.isEmpty else { return nil }
    return LineChart(
      title: result.comparison.title, xLabel: axis, yLabel: "CPU us per request", curves: curves
    ).svg
  }

  /// Every single sample, a line each.
  var csv: String {
    var text = "measurement,subject,x,round,figure,value\n"
    func add(
      _ measurement: String, _ subject: String, _ x: String, _ round: Int, _ figure: String,
      _ value: Double
    ) {
      text += "\(measurement),\(subject),\(x),\(round),\(figure),\(decimal(value, 3))\n"
    }
    for result in results.comparisons {
      for outcome in result.outcomes {
        let subject = outcome.contender.subject.id
        let x = outcome.contender.x.map { "\(Int($0))" } ?? ""
        for (round, sample) in outcome.samples.enumerated() {
          for metric in Metric.allCases {
            add(
              result.comparison.id, subject, x, round + 1, metric.rawValue, metric.value(of: sample)
            )
          }
          if sample.isDisturbed {
            add(result.comparison.id, subject, x, round + 1, "disturbed", 1)
          }
        }
        if let calls = outcome.systemCalls {
          add(result.comparison.id, subject, x, 1, "system calls per request", calls)
        }
      }
    }
    for memory in results.memory {
      for figure in memory.figures {
        for (round, bytes) in (figure.bytes?.values ?? []).enumerated() {
          add(
            memory.id, figure.subject.id, "\(figure.connections)", round + 1,
            "bytes per connection", bytes)
        }
      }
    }
    for (figure, series) in [
      ("takeover us", results.takeovers?.takeover), ("usable us", results.takeovers?.usable),
      ("connect us", results.takeovers?.connect), ("round us", results.takeovers?.round),
    ] {
      for (round, value) in (series?.values ?? []).enumerated() {
        add("takeover", "pool", "", round + 1, figure, value)
      }
    }
    return text
  }
}
